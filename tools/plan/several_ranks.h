// What a step takes on each of several GPUs, by what they share out.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/plan/measured.h"
#include "tools/plan/step_time.h"

namespace lethe {

struct RanksRequest {
  int world = 2, per_node = 8;
  // Three quarters of NVLink 4's 450 GB/s each way (NVIDIA's data sheet of the H100 SXM: 900 GB/s both ways),
  // which is what large exchanges reach; and of 400 Gb/s InfiniBand, one port for each GPU as in a DGX H100.
  double link_gbs = 337.5, network_gbs = 37.5;
  double latency_us = 20;
  std::string measured;  // a file for read_measured; empty: the next two
  double peak_tflops = 989, peak_share = 0.55;
};
// Throws ConfigError for a number that makes no sense.
void check(const RanksRequest& request);

// One sharding on the rank that owns most.
struct RanksFigures {
  std::string sharding;
  std::string refused;  // why it cannot be; the rest is empty then
  int64_t arena_bytes = 0, weights = 0, gradients = 0, optimizer = 0, activations = 0;
  double sent_bytes = 0;       // in a step
  double step_seconds = 0;     // from the first micro-batch to the end of the update
  double traffic_seconds = 0;  // of all exchanges, were they alone
  double waited_seconds = 0;   // of them, what no kernel ran beside
  double efficiency = 0;       // one GPU's time for the same step over world times this

  double overlap() const { return traffic_seconds > 0 ? 1 - waited_seconds / traffic_seconds : 1; }
};

struct RanksPlan {
  RanksRequest request;
  std::string source;  // of the kernels' times
  int64_t micro_batches = 0, most_of_a_rank = 0;
  double alone_seconds = 0;  // the whole step on one GPU
  std::vector<RanksFigures> shardings;
};

// Records the programs of one rank for each sharding; moves and allocates nothing. The time of each kernel is
// its part of the measured step, by what a GPU would need for it at 700 TFLOP/s and 3.3 TB/s, whichever is
// longer. spec: of one process. Throws ConfigError, also where the step has fewer micro-batches than ranks.
RanksPlan plan_ranks(const RanksRequest& request, ProgramSpec spec, int64_t micro_batches);

std::string describe_ranks(const RanksPlan& plan);
nlohmann::json ranks_json(const RanksPlan& plan);

}  // namespace lethe
