// One measurement of `lethe bench` on a CPU: training steps and OpenBLAS's sgemm by turns in one process.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/bench/bench_model.h"
#include "tools/bench/products.h"
#include "tools/bench/profile.h"

namespace lethe {

// A median and what lies around it.
struct Spread {
  double median = 0, low = 0, high = 0;
};
Spread spread_of(std::vector<double> values);

struct BenchResult {
  BenchRequest request;  // with what was absent filled in
  ProgramSpec spec;
  int threads = 0;
  double planned_gb = 0;
  double first_step_s = 0;  // from the beginning: recording, planning, filling and one step
  double loss = 0;          // of the last step
  Spread step_ms;           // forward, backward and update
  std::vector<MatrixProduct> products;
  std::vector<double> product_ms;  // median time of each product, all its calls, in sgemm
  Spread sgemm_ms;                 // of all products, one after another
  double product_flops = 0, attention_flops = 0;
  // Of each pair: the time that sgemm would take for all FLOPs of the step's matrix products, attention's
  // included at the rate it reaches on the linear maps' shapes, over the time of the step.
  Spread ratio;
  // The same without attention's FLOPs: time of exactly the products that were timed, over the time of the
  // step.
  Spread ratio_without_attention;
  std::vector<ProfileRow> profile;  // if asked for
  Limits limits;                    // sgemm's rate and a copy's, if a profile was asked for

  double tokens_per_s() const;
  double sgemm_flops_per_s() const;
};

// Throws what bench_spec and Session throw.
BenchResult run_bench(BenchRequest request);

// The line that is printed.
nlohmann::json bench_json(const BenchResult& result);

}  // namespace lethe
