#include "engine/comm/launch.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "engine/comm/tcp.h"

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

// torchrun may serve a store of its own at MASTER_PORT: the next free port is taken then.
constexpr int kPorts = 16;

StorePlace place_of_torchrun(const Environment& environment) {
  const auto text = [&](const char* name) {
    const char* const value = environment(name);
    return std::string(value ? value : "");
  };
  for (const char* name : {"MASTER_ADDR", "MASTER_PORT"}) {
    if (text(name).empty())
      throw ConfigError(name, "is not set, and says where rank 0 of torchrun's processes is");
  }
  const std::string host = text("MASTER_ADDR"), port = text("MASTER_PORT");
  return {.hosts = {host},
          .first_port = number("MASTER_PORT", port.c_str(), 1),
          .ports = kPorts,
          .token = fmt::format("{}/{}/{}:{}/{}", text("TORCHELASTIC_RUN_ID"),
                               text("TORCHELASTIC_RESTART_COUNT"), host, port, text("WORLD_SIZE"))};
}

Ranks join_over_tcp(const Launched& launch, Seconds patience) {
  Ranks ranks;
  ranks.store = launch.rank == 0 ? Store::serve(launch.place, patience)
                                 : Store::join(launch.place, launch.rank, patience);
  ranks.comm = make_tcp_comm(*ranks.store, launch.rank, launch.world, patience);
  return ranks;
}

}  // namespace

Launched find_launched(const Environment& environment) {
  for (const Launcher& l : kLaunchers) {
    const char *rank = environment(l.rank), *world = environment(l.world);
    if (!rank || !world) continue;
    Launched found{l.name, number(l.rank, rank, 0), number(l.world, world, 1)};
    if (found.rank >= found.world)
      throw ConfigError(l.rank, fmt::format("{} is no rank of {}", found.rank, found.world));
    if (found.launcher == "torchrun" && found.world > 1) found.place = place_of_torchrun(environment);
    constexpr const char* kRestarts = "TORCHELASTIC_RESTART_COUNT";
    const char* const restarts = environment(kRestarts);
    if (found.launcher == "torchrun" && restarts) found.restarts = number(kRestarts, restarts, 0);
    return found;
  }
  return {};
}

std::vector<std::string> launcher_variables() {
  std::vector<std::string> names;
  for (const Launcher& l : kLaunchers) names.insert(names.end(), {l.rank, l.world});
  return names;
}

Launched find_launched() {
  return find_launched([](const char* name) { return static_cast<const char*>(std::getenv(name)); });
}

Ranks join_ranks(const Launched& launch, Seconds patience) {
  if (launch.world == 1) return {nullptr, make_self_comm()};
  if (launch.launcher == "torchrun") return join_over_tcp(launch, patience);
  std::shared_ptr<Comm> comm = make_mpi_comm();
  if (comm->world() == launch.world && comm->rank() == launch.rank)
    return {Store::open(*comm, patience), std::move(comm)};
  throw ConfigError(
      "distributed.engine",
      fmt::format("{} says rank {} of {}, and MPI says {} of {}: was it started by another MPI "
                  "than this build's ({}), or by srun without --mpi=pmix?",
                  launch.launcher, launch.rank, launch.world, comm->rank(), comm->world(), mpi_version()));
}

std::shared_ptr<Comm> make_comm(const Launched& launch) {
  Ranks ranks = join_ranks(launch);
  ranks.comm->barrier();  // all have found all: the store may go
  return ranks.comm;
}

}  // namespace lethe
