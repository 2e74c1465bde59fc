#include "tools/run/rank_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/backend/backend.h"
#include "engine/backend/libraries.h"
#include "engine/log.h"

namespace lethe {
namespace {

// How many GPUs there are to choose from.
int gpu_count() {
  int count = 0;
  while (cuda_is_available(count)) ++count;
  return count;
}

// "cpu", or the GPU's number.
std::string chosen_device(Comm& comm, const std::string& device) {
  const std::vector<std::string> hosts = gather_texts(comm, host_name());
  const auto me = static_cast<size_t>(comm.rank());
  const auto local = std::count(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(me), hosts[me]);
  if (device != "auto" && device != "cuda") return device;
  const int gpus = gpu_count();
  if (gpus == 0 && device == "auto") return "cpu";
  return fmt::format("cuda:{}", gpus > 0 ? local % gpus : local);
}

}  // namespace

RankDevice device_of_rank(Comm& comm, const std::string& device, const std::string& engine) {
  if (comm.world() == 1 && engine != "nccl") return {device, nullptr};
  RankDevice found{chosen_device(comm, device), nullptr};
  int ordinal = 0;
  const bool on_gpu =
      found.device != "cpu" && parse_device(found.device, &ordinal) && cuda_is_available(ordinal);
  const std::string place = on_gpu ? host_name() + " " + cuda_device_id(ordinal) : "cpu";
  const std::vector<std::string> places = gather_texts(comm, place);
  const auto on_cpus = std::ranges::count(places, "cpu");
  if (on_cpus == comm.world()) {
    if (engine == "nccl") throw ConfigError("distributed.engine", "is nccl, and the processes have no GPU");
    return found;
  }
  if (on_cpus > 0) {
    throw ConfigError("device",
                      fmt::format("{} of {} processes have no GPU; device: cpu would be the same for all",
                                  on_cpus, comm.world()));
  }
  const bool own = std::set(places.begin(), places.end()).size() == places.size();
  if (engine == "nccl" && !own)
    throw ConfigError("distributed.engine",
                      "is nccl, and several processes share a GPU: NCCL takes one each");
  const auto versions = gather_texts(comm, nccl_version());
  const bool everywhere = std::ranges::none_of(versions, &std::string::empty);
  if (engine == "nccl" || (engine == "auto" && own && everywhere)) {
    found.comm = make_nccl_comm(comm, ordinal);
    log::info(fmt::format("{} GPUs, NCCL {}", comm.world(), nccl_version()));
  } else {
    found.comm = make_staged_comm(comm);
    log::info(fmt::format("{} processes on GPUs; sums go through the host's memory", comm.world()));
  }
  return found;
}

Facts library_facts(const RankDevice& device, const Launched& launch) {
  const bool on_gpu = device.comm != nullptr;
  Facts facts = on_gpu ? cuda_libraries() : cpu_libraries();
  // One that is not used may differ.
  facts.emplace_back("NCCL", on_gpu && device.comm->in_graphs() ? nccl_version() : "unused");
  facts.emplace_back("MPI", launch.launcher == "torchrun" ? "unused" : mpi_version());
  return facts;
}

}  // namespace lethe
