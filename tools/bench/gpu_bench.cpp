#include "tools/bench/gpu_bench.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/bench/gpu_limits.h"
#include "tools/bench/process_clock.h"
#include "tools/bench/shapes.h"
#include "tools/bench/training_side.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

double gb(int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

void time_steps(TrainingSide& training, GpuBenchResult& result, TraceFile& trace) {
  Backend& backend = training.session().backend();
  std::vector<double> steps;
  for (int64_t i = 0; i < result.request.steps; ++i) {
    backend.wait();
    trace.before_step(i + 1, result.request.steps);
    const auto start = Clock::now();
    result.loss = training.step().loss;
    backend.wait();
    steps.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    if (i == 0) result.first_step_s = process_seconds();
  }
  result.step_ms = spread_of({steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 3), steps.end()});
}

// A session of its own, run node by node, whose steps are slower than those of the first.
GpuProfile profile_steps(const ProgramSpec& spec) {
  constexpr int kWarmUp = 2, kSteps = 5;
  GpuProfile profile;
  profile.limits = {gpu_product_flops(), gpu_copy_bandwidth()};
  {
    TrainingSide training(spec, make_cuda_backend({.graph = false, .profile = true}));
    for (int i = 0; i < kWarmUp; ++i) training.step();
    const auto before = training.node_seconds();
    for (int i = 0; i < kSteps; ++i) training.step();
    const auto seconds = training.seconds_since(before, kSteps);
    profile.kinds = training.profile(seconds, profile.limits);
    profile.products = product_profile(training.tape(), seconds[0]);
  }
  for (const ProfileRow& row : profile.kinds) profile.nodes_ms += row.seconds * 1e3;
  for (ProductRow& row : profile.products) {
    row.best_seconds = best_product_seconds(row.product) * static_cast<double>(row.product.count);
  }
  return profile;
}

}  // namespace

double GpuBenchResult::tokens_per_s() const {
  return static_cast<double>(*request.batch * *request.seq * request.world()) / (step_ms.median / 1e3);
}

double GpuBenchResult::mfu() const {
  return tokens_per_s() * flops_per_token(spec.config, spec.lora ? *request.rank : 0, *request.seq) /
         (request.peak_tflops * 1e12 * request.world());
}

GpuBenchResult run_gpu_bench(BenchRequest request, TraceFile& trace) {
  GpuBenchResult result;
  request.device = "cuda";
  result.spec = bench_spec(request);
  result.request = request;
  result.parameters = parameter_count(result.spec.config);
  const GpuFacts before = gpu_facts();
  result.gpu = before.name;
  {
    TrainingSide training(result.spec, make_cuda_backend({.ordinal = request.ordinal,
                                                          .trace = trace.load("cuda"),
                                                          .comm = request.device_comm}));
    if (request.tune_seconds > 0) {
      training.session().backend().tune_products({.seconds = request.tune_seconds});
    }
    time_steps(training, result, trace);
    trace.finish();
    result.planned_gb = gb(training.session().plan().arena_bytes);
    result.used_gb = gb(before.free_bytes - gpu_facts().free_bytes);
  }
  if (request.profile) result.profile = profile_steps(result.spec);
  return result;
}

nlohmann::json gpu_bench_json(const GpuBenchResult& r) {
  const auto rounded = [](double value, double scale) { return std::round(value * scale) / scale; };
  nlohmann::json json = request_json(r.request, r.spec);
  json["gpu"] = r.gpu;
  json["parameters"] = r.parameters;
  json["tokens_per_s"] = std::round(r.tokens_per_s());
  json["mfu"] = rounded(r.mfu(), 1e4);
  json["peak_gb"] = rounded(r.planned_gb, 1e2);
  json["planned_gb"] = rounded(r.planned_gb, 1e6);
  json["used_gb"] = rounded(r.used_gb, 1e3);
  json["first_step_s"] = rounded(r.first_step_s, 1e2);
  json["loss"] = rounded(r.loss, 1e4);
  json["steps"] = r.request.steps;
  json["step_ms"] = rounded(r.step_ms.median, 1e3);
  json["step_ms_low"] = rounded(r.step_ms.low, 1e3);
  json["step_ms_high"] = rounded(r.step_ms.high, 1e3);
  if (!r.profile) return json;
  const GpuProfile& p = *r.profile;
  json["profile"] = {{"kinds", profile_json(p.kinds)},
                     {"products", product_json(p.products)},
                     {"product_tflops", rounded(p.limits.flops_per_s / 1e12, 10)},
                     {"copy_tb_per_s", rounded(p.limits.bytes_per_s / 1e12, 1e3)},
                     {"nodes_ms", rounded(p.nodes_ms, 1e3)},
                     {"gap_ms", rounded(r.step_ms.median - p.nodes_ms, 1e3)}};
  return json;
}

std::string gpu_profile_text(const GpuBenchResult& r) {
  const GpuProfile& p = *r.profile;
  return fmt::format("{}\n{}\nnodes {:.3f} ms of a step of {:.3f} ms: a gap of {:.3f} ms\n",
                     profile_table(p.kinds, p.limits), product_table(p.products), p.nodes_ms,
                     r.step_ms.median, r.step_ms.median - p.nodes_ms);
}

}  // namespace lethe
