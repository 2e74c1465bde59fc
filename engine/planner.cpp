#include "engine/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace lethe {
namespace {

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// One stretch of memory to be placed: a root tensor, several that share it in place, or a node's workspace.
struct Block {
  std::string path;
  Kind kind = Kind::activation;
  int64_t bytes = 0;
  int32_t first = 0, last = 0;
  int64_t offset = -1;
};

void check_budget(const std::string& path, int64_t begin, int64_t bytes, int64_t budget) {
  if (budget < 0 || begin + bytes <= budget) return;
  throw MemoryError(
      path, fmt::format("does not fit: it asks for {} bytes where {} of the budget's {} are left", bytes,
                        std::max<int64_t>(0, budget - begin), budget));
}

// First and last node that touches each root; -1 where none does. What a node of another stream touches is in
// use until that node is waited for.
std::vector<Placement> lifetimes(const Tape& tape, const std::vector<int32_t>& awaited) {
  std::vector<Placement> life(tape.tensors().size());
  for (Placement& p : life) p.first = p.last = -1;
  for (int32_t n = 0; n < static_cast<int32_t>(tape.nodes().size()); ++n) {
    const Node& node = tape.nodes()[static_cast<size_t>(n)];
    const auto touch = [&](Var v) {
      Placement& p = life[static_cast<size_t>(tape.root(v).id)];
      if (p.first < 0) p.first = n;
      p.last = std::max(p.last, awaited[static_cast<size_t>(n)]);
    };
    for (const Output& o : node.outputs) touch(o.var);
    for (const Var v : node.inputs) touch(v);
  }
  for (const Var v : tape.kept()) {
    if (Placement& p = life[static_cast<size_t>(v.id)]; p.first >= 0)
      p.last = static_cast<int32_t>(tape.nodes().size());
  }
  return life;
}

// Tensors that end up in one block: block_of[tensor id], found by following in-place pairs in order.
std::vector<int32_t> share_in_place(const Tape& tape, const std::vector<Placement>& life) {
  std::vector<int32_t> block_of(tape.tensors().size());
  std::iota(block_of.begin(), block_of.end(), 0);
  for (int32_t n = 0; n < static_cast<int32_t>(tape.nodes().size()); ++n) {
    const Node& node = tape.nodes()[static_cast<size_t>(n)];
    if (node.in_place.first < 0) continue;
    const Var out = node.outputs[static_cast<size_t>(node.in_place.first)].var;
    const Var in = node.inputs[static_cast<size_t>(node.in_place.second)];
    const TensorInfo &to = tape.info(out), &from = tape.info(in);
    const bool plain =
        to.persistent < 0 && from.persistent < 0 && tape.root(out) == out && tape.root(in) == in;
    const bool dies_here =
        life[static_cast<size_t>(in.id)].last == n && life[static_cast<size_t>(out.id)].first == n;
    if (plain && dies_here && to.bytes() == from.bytes() && to.pitch == from.pitch) {
      block_of[static_cast<size_t>(out.id)] = block_of[static_cast<size_t>(in.id)];
    }
  }
  return block_of;
}

// Largest first, each at the lowest offset where it meets no block that is alive at the same time.
int64_t place(std::vector<Block>& blocks) {
  std::vector<int32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
    return blocks[static_cast<size_t>(a)].bytes > blocks[static_cast<size_t>(b)].bytes;
  });
  std::vector<const Block*> by_offset;
  int64_t end = 0;
  for (const int32_t i : order) {
    Block& block = blocks[static_cast<size_t>(i)];
    int64_t offset = 0;
    for (const Block* other : by_offset) {
      if (other->last < block.first || block.last < other->first) continue;
      if (other->offset >= offset + aligned(block.bytes)) break;
      offset = std::max(offset, other->offset + aligned(other->bytes));
    }
    block.offset = offset;
    end = std::max(end, offset + aligned(block.bytes));
    by_offset.insert(std::ranges::upper_bound(by_offset, offset, {}, &Block::offset), &block);
  }
  return end;
}

void measure_peak(ProgramPlan& plan, const std::vector<Block>& blocks, size_t node_count) {
  std::vector<int64_t> alive(node_count + 2, 0);
  for (const Block& b : blocks) {
    alive[static_cast<size_t>(b.first)] += b.bytes;
    alive[static_cast<size_t>(b.last) + 1] -= b.bytes;
  }
  int64_t now = 0, most = -1;
  for (size_t n = 0; n <= node_count; ++n) {
    now += alive[n];
    if (now > most) {
      most = now;
      plan.peak_node = static_cast<int32_t>(n);
    }
  }
  for (const Block& b : blocks) {
    if (b.first <= plan.peak_node && plan.peak_node <= b.last)
      plan.at_peak[static_cast<size_t>(b.kind)] += b.bytes;
  }
  plan.unused_at_peak = plan.transient_bytes - std::max<int64_t>(0, most);
}

ProgramPlan plan_program(const Tape& tape, const std::vector<int64_t>& persistent_offsets, int64_t base,
                         const Device& device, int64_t budget) {
  const size_t tensor_count = tape.tensors().size(), node_count = tape.nodes().size();
  const std::vector<int32_t> awaited = awaited_before(tape);
  const std::vector<Placement> life = lifetimes(tape, awaited);
  const std::vector<int32_t> block_of = share_in_place(tape, life);

  std::vector<Block> blocks;
  std::vector<int32_t> block_index(tensor_count, -1);
  for (size_t id = 0; id < tensor_count; ++id) {
    const TensorInfo& t = tape.tensors()[id];
    if (t.persistent >= 0 || t.parent.valid() || life[id].first < 0) continue;
    int32_t& index = block_index[static_cast<size_t>(block_of[id])];
    if (index < 0) {
      index = static_cast<int32_t>(blocks.size());
      blocks.push_back({t.path, t.kind, t.bytes(), life[id].first, life[id].last});
    }
    Block& block = blocks[static_cast<size_t>(index)];
    block.first = std::min(block.first, life[id].first);
    block.last = std::max(block.last, life[id].last);
  }
  std::vector<int32_t> workspace_block(node_count, -1);
  for (size_t n = 0; n < node_count; ++n) {
    const Node& node = tape.nodes()[n];
    const int64_t bytes = node.op->workspace(node, tape, device);
    if (bytes == 0) continue;
    workspace_block[n] = static_cast<int32_t>(blocks.size());
    blocks.push_back(
        {node.path + " (workspace)", Kind::workspace, bytes, static_cast<int32_t>(n), awaited[n]});
  }

  ProgramPlan plan;
  plan.transient_bytes = place(blocks);
  measure_peak(plan, blocks, node_count);
  for (const Block& b : blocks) check_budget(b.path, base + b.offset, b.bytes, budget);

  plan.tensors.resize(tensor_count);
  for (size_t id = 0; id < tensor_count; ++id) {
    const Var root = tape.root({static_cast<int32_t>(id)});
    const TensorInfo& r = tape.info(root);
    Placement& p = plan.tensors[id];
    p = life[static_cast<size_t>(root.id)];
    p.bytes = tape.tensors()[id].bytes();
    if (r.persistent >= 0) {
      p.offset = persistent_offsets[static_cast<size_t>(r.persistent)];
    } else if (p.first >= 0) {
      const int32_t block = block_index[static_cast<size_t>(block_of[static_cast<size_t>(root.id)])];
      p.offset = base + blocks[static_cast<size_t>(block)].offset;
    }
    if (p.offset >= 0) p.offset += tape.offset_in_root({static_cast<int32_t>(id)}) * size_of(r.dtype);
  }
  plan.workspaces.resize(node_count);
  for (size_t n = 0; n < node_count; ++n) {
    if (workspace_block[n] < 0) continue;
    const Block& b = blocks[static_cast<size_t>(workspace_block[n])];
    plan.workspaces[n] = {base + b.offset, b.bytes, b.first, b.last};
  }
  return plan;
}

}  // namespace

int64_t Plan::bytes_of(Kind kind) const {
  const auto largest = std::ranges::max_element(programs, {}, &ProgramPlan::transient_bytes);
  const auto k = static_cast<size_t>(kind);
  return persistent_by_kind[k] + (largest == programs.end() ? 0 : largest->at_peak[k]);
}

Plan make_plan(const State& state, const std::vector<const Tape*>& programs, const Device& device,
               int64_t budget_bytes) {
  Plan plan;
  int64_t end = 0;
  for (int32_t i = 0; i < state.size(); ++i) {
    const PersistentInfo& p = state[i];
    if (p.parent >= 0) {
      plan.persistent_offsets.push_back(plan.persistent_offsets[static_cast<size_t>(p.parent)] +
                                        p.offset * size_of(p.dtype));
      continue;
    }
    check_budget(p.name, end, p.bytes(), budget_bytes);
    plan.persistent_offsets.push_back(end);
    plan.persistent_by_kind[static_cast<size_t>(p.kind)] += p.bytes();
    end += aligned(p.bytes());
  }
  plan.persistent_bytes = end;
  int64_t largest = 0;
  for (const Tape* tape : programs) {
    // A view of a persistent tensor is resolved through its root, so offsets of roots suffice.
    plan.programs.push_back(plan_program(*tape, plan.persistent_offsets, end, device, budget_bytes));
    largest = std::max(largest, plan.programs.back().transient_bytes);
  }
  plan.arena_bytes = end + largest;
  return plan;
}

}  // namespace lethe
