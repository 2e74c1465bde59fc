// Which device each rank of a run computes on, and what their sums go through.
#pragma once

#include <memory>
#include <string>

#include "engine/comm/device_comm.h"
#include "engine/comm/launch.h"
#include "tools/run/ranks.h"

namespace lethe {

struct RankDevice {
  std::string device;                // "cpu", "cuda:1"; what was asked for where there is one rank
  std::shared_ptr<DeviceComm> comm;  // null: sums go through the host's Comm
};

// device: TrainOptions::device, engine: distributed.engine. Of several ranks on one machine each gets a GPU
// of its own while there are some ("cuda:N": that one for all). Collective. Throws on all ranks alike:
// ConfigError if some have a GPU and others have none, or if engine is nccl and two share one; what
// make_nccl_comm throws.
RankDevice device_of_rank(Comm& comm, const std::string& device, const std::string& engine);

// Versions of what computes on that device and of what joins the ranks: to be the same on all of them.
Facts library_facts(const RankDevice& device, const Launched& launch);

}  // namespace lethe
