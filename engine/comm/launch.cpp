#include "engine/comm/launch.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace lethe {
namespace {

struct Launcher {
  const char *name, *rank, *world;
};
// The innermost first: mpirun may run inside a step of srun's.
constexpr std::array kLaunchers = {
    Launcher{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    Launcher{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
    Launcher{"torchrun", "RANK", "WORLD_SIZE"},
};

int number(const char* name, const char* text, int lowest) {
  int value = -1;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stopped != end || value < lowest)
    throw ConfigError(name, fmt::format("the environment's \"{}\" is no number from {} on", text, lowest));
  return value;
}

}  // namespace

Launched find_launched(const Environment& environment) {
  for (const Launcher& l : kLaunchers) {
    const char *rank = environment(l.rank), *world = environment(l.world);
    if (!rank || !world) continue;
    const Launched found{l.name, number(l.rank, rank, 0), number(l.world, world, 1)};
    if (found.rank >= found.world)
      throw ConfigError(l.rank, fmt::format("{} is no rank of {}", found.rank, found.world));
    return found;
  }
  return {};
}

Launched find_launched() {
  return find_launched([](const char* name) { return static_cast<const char*>(std::getenv(name)); });
}

std::unique_ptr<Comm> make_comm(const Launched& launch) {
  if (launch.world == 1) return make_self_comm();
  if (launch.launcher == "torchrun") {
    throw ConfigError(
        "distributed.engine",
        fmt::format("torchrun's variables say {} processes, and NCCL, which would join them, is "
                    "not built yet: start them by mpirun or srun",
                    launch.world));
  }
  auto comm = make_mpi_comm();
  if (comm->world() == launch.world && comm->rank() == launch.rank) return comm;
  throw ConfigError(
      "distributed.engine",
      fmt::format("{} says rank {} of {}, and MPI says {} of {}: was it started by another MPI "
                  "than this build's ({}), or by srun without --mpi=pmix?",
                  launch.launcher, launch.rank, launch.world, comm->rank(), comm->world(), mpi_version()));
}

}  // namespace lethe
