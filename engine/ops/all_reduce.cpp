// x_i = sum over ranks r of x_i[r], in the order of the ranks.
#include "engine/ops/all_reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/comm/span_sequence.h"
#include "engine/ops/element_sequence.h"

namespace lethe::ops {
namespace {

constexpr int64_t kBytesAtOnce = 4 << 20;
constexpr int64_t kDeviceBytesAtOnce = 64 << 20;  // of the others' copies

class AllReduce final : public Op {
 public:
  explicit AllReduce(std::shared_ptr<Comm> comm) : comm_(std::move(comm)) {}
  std::string_view name() const override { return "all_reduce"; }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t elements = 0;
    for (const Output& o : node.outputs) elements += tape.info(o.var).elements();
    const int64_t size = size_of(tape.info(node.outputs[0].var).dtype);
    if (device.kind == DeviceKind::cpu) return std::min(elements * size, kBytesAtOnce);
    // The others' copies of a slice; a sequence's tensors are padded to 16 bytes, and a slice is too.
    int64_t bytes = 0;
    for (const Output& o : node.outputs) bytes += tape.info(o.var).bytes() + 256;
    return std::min(slice_of(bytes), slice_at_once()) * (comm_->world() - 1);
  }

  // Each rank is sent the others' copies of its slice, and hands its sum to them: 2 B (N - 1) / N of B bytes,
  // the slices taken to be even.
  Traffic traffic(const Node& node, const Tape& tape) const override {
    int64_t bytes = 0;
    for (const Output& o : node.outputs)
      bytes += tape.info(o.var).elements() * size_of(tape.info(o.var).dtype);
    const int64_t moved = 2 * bytes * (comm_->world() - 1) / comm_->world();
    return {moved, moved};
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

#if LETHE_WITH_CUDA
  // A slice for each rank at a time, the slices one behind the other.
  void run(const CudaLaunch& launch) const override {
    const int world = comm_->world(), me = comm_->rank();
    if (world == 1) return;
    SpanSequence all(true);
    for (const Buffer& x : launch.out) all.add(x);
    const int64_t slice = std::min(slice_of(all.bytes()), slice_at_once());
    for (int64_t done = 0; done < all.bytes(); done += slice * world) {
      std::vector<std::vector<SpanSequence::Span>> slices;
      for (int r = 0; r < world; ++r) slices.push_back(all.cut(done + r * slice, slice));
      const std::vector<SpanSequence::Span>& mine = slices[static_cast<size_t>(me)];
      sum_over_ranks(*launch.comm, me, launch.out[0].dtype, mine, slices, launch.workspace, launch.stream);
      std::vector<DeviceComm::Piece> sent, received;
      for (int r = 0; r < world; ++r) {
        if (r == me) continue;
        add_pieces(sent, r, mine);
        add_pieces(received, r, slices[static_cast<size_t>(r)]);
      }
      launch.comm->exchange(sent, received, launch.stream);
    }
  }
#endif

 private:
  // Bytes of each rank's slice.
  int64_t slice_of(int64_t bytes) const {
    return (bytes / 16 + comm_->world() - 1) / comm_->world() * 16;
  }
  int64_t slice_at_once() const {
    return std::max<int64_t>(16, kDeviceBytesAtOnce / std::max(1, comm_->world() - 1) / 16 * 16);
  }

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
    tape.append(std::make_shared<AllReduce>(comm), {}, std::move(outputs), name).stream = 1;
  }
}

}  // namespace lethe::ops
