// x_i = sum over ranks r of x_i[r], in the order of the ranks.
#include "engine/ops/all_reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/element_sequence.h"

namespace lethe::ops {
namespace {

constexpr int64_t kBytesAtOnce = 4 << 20;

class AllReduce final : public Op {
 public:
  explicit AllReduce(std::shared_ptr<Comm> comm) : comm_(std::move(comm)) {}
  std::string_view name() const override { return "all_reduce"; }

  int64_t workspace(const Node& node, const Tape& tape, const Device&) const override {
    int64_t elements = 0;
    for (const Output& o : node.outputs) elements += tape.info(o.var).elements();
    return std::min(elements * size_of(tape.info(node.outputs[0].var).dtype), kBytesAtOnce);
  }

  void run(const CpuLaunch& launch) const override {
    const DType dtype = launch.out[0].dtype;
    auto* const packed = static_cast<std::byte*>(launch.workspace);
    ElementSequence from, to;
    int64_t left = 0;
    for (const Buffer& x : launch.out) {
      from.add(x);
      to.add(x);
      left += x.rows * x.width;
    }
    while (left > 0) {
      const int64_t count = std::min(left, kBytesAtOnce / size_of(dtype));
      from.read(packed, count);
      comm_->all_reduce(packed, dtype, count);
      to.write(packed, count);
      left -= count;
    }
  }

 private:
  std::shared_ptr<Comm> comm_;
};

}  // namespace

void all_reduce(Tape& tape, const std::vector<Var>& tensors, const std::shared_ptr<Comm>& comm,
                const std::string& name) {
  std::vector<std::pair<DType, std::vector<Output>>> nodes;
  for (const Var v : tensors) {
    const DType dtype = tape.info(v).dtype;
    if (!is_float(dtype) && dtype != DType::i64) {
      throw ShapeError(tape.path(name),
                       fmt::format("{} of {} cannot be summed", tape.info(v).path, name_of(dtype)));
    }
    auto node = std::ranges::find(nodes, dtype, [](const auto& n) { return n.first; });
    if (node == nodes.end()) node = nodes.insert(node, {dtype, {}});
    node->second.push_back({v, Access::update});
  }
  for (auto& [dtype, outputs] : nodes) {
    tape.append(std::make_shared<AllReduce>(comm), {}, std::move(outputs), name).ordered = true;
  }
}

}  // namespace lethe::ops
