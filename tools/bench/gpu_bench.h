// One measurement of `lethe bench` on a GPU: training steps alone, and if it was asked for, a second pass
// that times each node.
#pragma once

#include "tools/bench/bench.h"
#include "tools/trace/trace_file.h"

namespace lethe {

struct GpuProfile {
  Limits limits;  // the best cuBLASLt rate of a large bf16 product, and a copy's
  std::vector<ProfileRow> kinds;
  std::vector<ProductRow> products;
  double nodes_ms = 0;  // of all nodes of a step, each timed alone
};

struct GpuBenchResult {
  BenchRequest request;  // with what was absent filled in
  ProgramSpec spec;
  std::string gpu;          // its name
  double planned_gb = 0;    // the arena
  double used_gb = 0;       // what the driver has given away since before the session, libraries included
  double first_step_s = 0;  // from the process's start to the end of the first step
  double loss = 0;          // of the last step
  Spread step_ms;           // of the last two thirds of the steps, each waited for
  int64_t parameters = 0;
  std::optional<GpuProfile> profile;

  double tokens_per_s() const;
  double mfu() const;
};

// trace: gets the last of the timed steps, if it was asked for. Throws what bench_spec and Session throw.
GpuBenchResult run_gpu_bench(BenchRequest request, TraceFile& trace);

// The line that is printed; the same keys as a peer's, and more.
nlohmann::json gpu_bench_json(const GpuBenchResult& result);
// The tables that --profile prints before it.
std::string gpu_profile_text(const GpuBenchResult& result);

}  // namespace lethe
