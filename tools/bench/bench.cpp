#include "tools/bench/bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "tools/bench/bandwidth.h"
#include "tools/bench/training_side.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Threads that have run out of work look for more for a while before they sleep, the engine's and OpenBLAS's
// alike; without a pause each would slow the other.
void let_threads_sleep() {
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

double BenchResult::tokens_per_s() const {
  return static_cast<double>(*request.batch * *request.seq) / (step_ms.median / 1e3);
}

double BenchResult::sgemm_flops_per_s() const {
  return product_flops / (sgemm_ms.median / 1e3);
}

BenchResult run_bench(BenchRequest request) {
  const auto start = Clock::now();
  request.device = "cpu";
  const ProgramSpec spec = bench_spec(request);
  TrainingSide training(
      spec, make_cpu_backend({.threads = static_cast<int>(request.threads), .profile = request.profile}));
  BenchResult result;
  result.request = request;
  result.spec = spec;
  result.loss = training.step().loss;
  result.first_step_s = seconds_since(start);
  result.threads = training.session().backend().threads();
  result.planned_gb = static_cast<double>(training.session().plan().arena_bytes) / 1e9;

  const Tape& tape = training.tape();
  SgemmPeer peer(matrix_products(tape), result.threads);
  result.products = peer.products();
  result.attention_flops = attention_flops(tape);
  for (const MatrixProduct& p : result.products) result.product_flops += p.flops();
  const double all_over_linear = 1 + result.attention_flops / result.product_flops;

  peer.seconds();
  const auto before = training.node_seconds();  // the first step finds cold memory
  std::vector<double> steps, sums, ratios, linear_ratios;
  std::vector<std::vector<double>> by_product(result.products.size());
  for (int64_t pair = 0; pair < request.steps; ++pair) {
    let_threads_sleep();
    const auto step_start = Clock::now();
    result.loss = training.step().loss;
    steps.push_back(seconds_since(step_start) * 1e3);
    let_threads_sleep();
    const std::vector<double> seconds = peer.seconds();
    for (size_t i = 0; i < seconds.size(); ++i) by_product[i].push_back(seconds[i] * 1e3);
    sums.push_back(std::accumulate(seconds.begin(), seconds.end(), 0.0) * 1e3);
    linear_ratios.push_back(sums.back() / steps.back());
    ratios.push_back(linear_ratios.back() * all_over_linear);
  }
  result.step_ms = spread_of(steps);
  result.sgemm_ms = spread_of(sums);
  result.ratio = spread_of(ratios);
  result.ratio_without_attention = spread_of(linear_ratios);
  for (const auto& times : by_product) result.product_ms.push_back(spread_of(times).median);

  if (request.profile) {
    result.limits = {result.sgemm_flops_per_s(), copy_bandwidth(result.threads)};
    result.profile = training.profile(training.seconds_since(before, request.steps), result.limits);
  }
  return result;
}

nlohmann::json bench_json(const BenchResult& r) {
  const auto rounded = [](double value, double scale) { return std::round(value * scale) / scale; };
  nlohmann::json json = request_json(r.request, r.spec);
  json.update({{"threads", r.threads},
               {"tokens_per_s", std::round(r.tokens_per_s())},
               {"planned_gb", rounded(r.planned_gb, 1e6)},
               {"first_step_s", rounded(r.first_step_s, 1e3)},
               {"step_ms", rounded(r.step_ms.median, 1e3)},
               {"step_ms_low", rounded(r.step_ms.low, 1e3)},
               {"step_ms_high", rounded(r.step_ms.high, 1e3)},
               {"steps", r.request.steps},
               {"loss", rounded(r.loss, 1e4)},
               {"matmul_gflop", rounded(r.product_flops / 1e9, 1e4)},
               {"attention_gflop", rounded(r.attention_flops / 1e9, 1e4)},
               {"sgemm_ms", rounded(r.sgemm_ms.median, 1e3)},
               {"sgemm_gflops", rounded(r.sgemm_flops_per_s() / 1e9, 10)},
               {"ratio", rounded(r.ratio.median, 1e4)},
               {"ratio_low", rounded(r.ratio.low, 1e4)},
               {"ratio_high", rounded(r.ratio.high, 1e4)},
               {"ratio_without_attention", rounded(r.ratio_without_attention.median, 1e4)}});
  if (!r.profile.empty()) {
    json["profile"] = profile_json(r.profile);
    json["copy_gb_per_s"] = rounded(r.limits.bytes_per_s / 1e9, 10);
  }
  return json;
}

}  // namespace lethe
