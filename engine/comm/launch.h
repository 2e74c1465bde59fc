// How many processes a launcher started for this run, read from the environment that it sets.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/comm/comm.h"

namespace lethe {

struct Launched {
  std::string launcher;  // "mpirun", "srun", "torchrun"; empty: none
  int rank = 0, world = 1;
};

// The value of an environment variable, or nullptr.
using Environment = std::function<const char*(const char*)>;

// Open MPI's mpirun; Slurm's srun (a batch script's own shell is no step of it); torchrun, and what sets its
// variables. Throws ConfigError for variables that hold no numbers.
Launched find_launched(const Environment& environment);
Launched find_launched();

// The launcher's ranks. Throws ConfigError if this build cannot join them, or if MPI does not find as many as
// the launcher said: each process would train for itself and write over the others.
std::unique_ptr<Comm> make_comm(const Launched& launch);

}  // namespace lethe
