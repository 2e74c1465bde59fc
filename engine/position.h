// Where a process is in its programs: set by who runs them, read from another thread, such as one that has to
// say where a run stands still.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/tape.h"

namespace lethe {

class Position {
 public:
  struct Program {
    // device: runs the nodes later than the host comes to them.
    Program(const Tape& tape, bool on_device);
    std::string name;
    std::vector<std::string> nodes;  // "layers.3.attention.qkv_proj (linear)"
    std::vector<bool> sums;          // over ranks
    bool on_device = false;
  };
  struct Place {
    // "update, node 3 of 41: loss (all_reduce)", "behind update"; "queues update, ..." and "queued update" of
    // a device; "behind update: saves a checkpoint". Empty before the first program.
    std::string text;
    bool in_sum = false;  // where it waits for other ranks
  };

  // One thread calls these; they cost a store to memory a node.
  void begin(std::shared_ptr<const Program> program);
  void at(size_t node) { node_.store(static_cast<int64_t>(node), std::memory_order_relaxed); }
  void end() { node_.store(kBehind, std::memory_order_relaxed); }
  // What is done between programs, until it is said again or a program begins; nullptr: nothing that has a
  // name. waits: for other ranks. `what` lives for ever.
  void between(const char* what, bool waits = false) {
    waits_ = waits;
    between_ = what;
  }

  Place place() const;

 private:
  static constexpr int64_t kBehind = -1;

  mutable std::mutex mutex_;  // of program_
  std::shared_ptr<const Program> program_;
  std::atomic<int64_t> node_{kBehind};
  std::atomic<const char*> between_{nullptr};
  std::atomic<bool> waits_{false};
};

}  // namespace lethe
