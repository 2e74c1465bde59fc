// Gives every tensor of a set of programs a place in one arena before anything is allocated (greedy by size,
// Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020): persistent tensors
// first, shared by all programs; behind them one region that each program uses in turn.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "engine/tape.h"

namespace lethe {

constexpr int64_t kAlignment = 256;  // bytes; every tensor starts on such a boundary
constexpr size_t kKinds = 8;         // of enum Kind

// A tensor's place and, for a transient one, the nodes between which it holds its place.
struct Placement {
  int64_t offset = -1;  // bytes from the arena's start; -1: a persistent tensor no program uses
  int64_t bytes = 0;
  int32_t first = 0, last = 0;
};

struct ProgramPlan {
  std::vector<Placement> tensors;     // by tensor id; views and persistent tensors included
  std::vector<Placement> workspaces;  // by node; bytes 0 where a node needs none
  int64_t transient_bytes = 0;        // of this program's region
  // What is alive when the region is fullest, by kind, and what alignment and packing leave unused there.
  std::array<int64_t, kKinds> at_peak{};
  int64_t unused_at_peak = 0;
  int32_t peak_node = -1;
};

struct Plan {
  int64_t arena_bytes = 0;       // everything: what a backend allocates, no more and no less
  int64_t persistent_bytes = 0;  // the part that outlives a run, padding included
  std::array<int64_t, kKinds> persistent_by_kind{};
  std::vector<int64_t> persistent_offsets;  // by State index
  std::vector<ProgramPlan> programs;

  // Bytes of one kind: persistent ones plus those at the largest program's peak.
  int64_t bytes_of(Kind kind) const;
};

// Throws MemoryError naming the first tensor that crosses the budget. budget_bytes < 0: none.
Plan make_plan(const State& state, const std::vector<const Tape*>& programs, const Device& device,
               int64_t budget_bytes = -1);

}  // namespace lethe
