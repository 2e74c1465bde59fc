// What an operation is: a name, a rule for its gradient, its cost, and how each backend runs it. One file in
// engine/ops/ holds one operation, read from top to bottom; shapes are checked where it is recorded, never
// where it runs.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/tensor.h"
#include "kernels/stream.h"

namespace lethe::kernels::cuda {
class AttentionLibrary;
class MatmulLibrary;
}  // namespace lethe::kernels::cuda

namespace lethe {

class DeviceComm;
class GradientBuilder;
class Tape;
struct Node;

// How a node touches an output: replaces it, adds to it, or reads and rewrites it in place.
enum class Access : uint8_t { overwrite, accumulate, update };

struct Cost {
  double flops = 0;  // a multiply-add counts as two
  // What a perfect kernel moves: each input read once, each output written once, and read first where it is
  // accumulated or updated. Rows that no index names are not counted.
  double bytes = 0;
};

// What a node of several ranks moves between them.
struct Traffic {
  int64_t sent = 0;  // bytes that this rank sends to others
  // The most that any rank sends or receives, whichever is more: what the node's time goes by. Where a node
  // first sums and then hands out, of both together.
  int64_t busiest = 0;
};

// Where a program is to run. A plan needs no more of the machine than this.
enum class DeviceKind : uint8_t { cpu, cuda };
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int threads = 1;  // of the CPU
};

// A node's tensors with memory behind them, as a backend hands them over.
struct Launch {
  std::span<const Buffer> in;
  std::span<const Buffer> out;
  std::span<const Access> access;
  void* workspace = nullptr;  // as many bytes as Op::workspace asked for, 256-byte aligned

  kernels::Write write(size_t output) const {
    return access[output] == Access::accumulate ? kernels::Write::accumulate : kernels::Write::overwrite;
  }
};

struct CpuLaunch : Launch {
  int threads = 1;
};

// What the work is queued on. Buffers and workspace lie in the GPU's memory: the host may not read them.
struct CudaLaunch : Launch {
  int64_t workspace_bytes = 0;
  kernels::cuda::Stream stream = nullptr;
  kernels::cuda::MatmulLibrary* matmuls = nullptr;
  kernels::cuda::AttentionLibrary* attention = nullptr;
  DeviceComm* comm = nullptr;  // of several ranks
};

class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;

  // Appends the nodes of this node's gradient. The default: an operation that passes no gradient on.
  virtual void gradient(const Node& node, GradientBuilder& builder) const;

  virtual Cost cost(const Node& node, const Tape& tape) const;

  // The default: nothing.
  virtual Traffic traffic(const Node& node, const Tape& tape) const;

  // Scratch bytes that a run on this device needs; planned like any tensor. Known without the device.
  virtual int64_t workspace(const Node& node, const Tape& tape, const Device& device) const;

  virtual void run(const CpuLaunch& launch) const = 0;

  // Queues the kernels and returns; allocates nothing and waits for nothing, so that it can be captured in a
  // graph. The default throws DeviceError: the operation has no kernel there.
  virtual void run(const CudaLaunch& launch) const;
  // What the host must do once before the first run with these buffers, such as picking an algorithm.
  virtual void prepare(const CudaLaunch& launch) const;
};

}  // namespace lethe
