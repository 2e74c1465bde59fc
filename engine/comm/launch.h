// How many processes a launcher started for this run, read from the environment that it sets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/comm/store.h"

namespace lethe {

struct Launched {
  std::string launcher;  // "mpirun", "srun", "torchrun"; empty: none
  int rank = 0, world = 1;
  StorePlace place{};  // torchrun's: where rank 0 is
  int restarts = 0;    // torchrun's: how often it has started the run before
};

// The value of an environment variable, or nullptr.
using Environment = std::function<const char*(const char*)>;

// Open MPI's mpirun; Slurm's srun (a batch script's own shell is no step of it); torchrun, and what sets its
// variables. Throws ConfigError for variables that hold no numbers.
Launched find_launched(const Environment& environment);
Launched find_launched();

// What find_launched reads ranks from: a launcher inside another's process removes them for its own children.
std::vector<std::string> launcher_variables();

// The ranks of one run and what they can tell each other beside their messages.
struct Ranks {
  std::shared_ptr<Store> store;  // null in one process; outlives comm
  std::shared_ptr<Comm> comm;
};

// The launcher's ranks: over MPI, torchrun's over TCP. patience: how long to wait for all of them to come.
// Throws CommError; ConfigError if this build cannot join them, or if MPI does not find as many as the
// launcher said: each process would train for itself and write over the others.
Ranks join_ranks(const Launched& launch, Seconds patience = Seconds(60));
// The same without a store.
std::shared_ptr<Comm> make_comm(const Launched& launch);

}  // namespace lethe
