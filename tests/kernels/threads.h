// Threads for kernels that a test calls without an engine.
#pragma once

#include "kernels/cpu/team.h"

namespace lethe::test {

// While it lives, kernels that this thread calls share their work among so many threads.
class Threads {
 public:
  explicit Threads(int count) : team_(count), use_(team_) {}

 private:
  kernels::cpu::Team team_;
  kernels::cpu::Team::Use use_;
};

}  // namespace lethe::test
