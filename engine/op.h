// What an operation is: a name, a rule for its gradient, its cost, and how each backend runs it. One file in
// engine/ops/ holds one operation, read from top to bottom; shapes are checked where it is recorded, never
// where it runs.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/tensor.h"

namespace lethe {

class GradientBuilder;
class Tape;
struct Node;

// How a node touches an output: replaces it, adds to it, or reads and rewrites it in place.
enum class Access : uint8_t { overwrite, accumulate, update };

struct Cost {
  double flops = 0;  // a multiply-add counts as two
  double bytes = 0;  // read and written, each buffer counted once
};

// A node's tensors with memory behind them, as the CPU backend hands them over.
struct CpuLaunch {
  std::span<const Buffer> in;
  std::span<const Buffer> out;
  std::span<const Access> access;
  void* workspace = nullptr;  // as many bytes as Op::workspace asked for, 256-byte aligned
  int threads = 1;

  kernels::Write write(size_t output) const {
    return access[output] == Access::accumulate ? kernels::Write::accumulate : kernels::Write::overwrite;
  }
};

class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;

  // Appends the nodes of this node's gradient. The default: an operation that passes no gradient on.
  virtual void gradient(const Node& node, GradientBuilder& builder) const;

  virtual Cost cost(const Node& node, const Tape& tape) const;

  // Scratch bytes that a run with this many threads needs; planned like any tensor.
  virtual int64_t workspace(const Node& node, const Tape& tape, int threads) const;

  virtual void run(const CpuLaunch& launch) const = 0;
};

}  // namespace lethe
