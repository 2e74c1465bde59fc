#include "tools/bench/bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "engine/step_inputs.h"
#include "tools/bench/bandwidth.h"

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

class TrainingSide {
 public:
  TrainingSide(const ProgramSpec& spec, const BenchRequest& request)
      : programs_(record_programs(spec)),
        session_(
            std::move(programs_.state), std::move(programs_.tapes),
            make_cpu_backend({.threads = static_cast<int>(request.threads), .profile = request.profile})),
        batch_(spec.rows, spec.tokens, spec.config.vocab_size),
        rates_(learning_rates(session_.state(), *spec.optimizer, ScheduleSpec{}, 0)) {
    fill_rope_table(session_, spec.config);
    initialise_weights(session_, spec.config, 1);
    if (spec.lora) initialise_lora(session_, 1);
    initialise_optimizer(session_);
    session_.set<int64_t>(step::seed, {1});
  }

  StepResult step() { return Trainer(session_, *programs_.step).step_now({batch_.view()}, ++steps_, rates_); }
  const Session& session() const { return session_; }
  // Seconds of each node since the session began, of the step's first program and of its update.
  std::vector<std::vector<double>> node_seconds() const {
    return {session_.node_seconds(programs().first), session_.node_seconds(programs().update)};
  }
  const StepPrograms& programs() const { return *programs_.step; }

 private:
  Programs programs_;  // State and tapes live in the session
  Session session_;
  RandomBatch batch_;
  std::vector<double> rates_;
  int64_t steps_ = 0;
};

// Rows of an average step: what the nodes took beyond `before`, in `steps` steps.
std::vector<ProfileRow> profile_since(const TrainingSide& training,
                                      const std::vector<std::vector<double>>& before, int64_t steps) {
  std::vector<std::vector<double>> seconds = training.node_seconds();
  for (size_t p = 0; p < seconds.size(); ++p) {
    for (size_t n = 0; n < seconds[p].size(); ++n) {
      seconds[p][n] = (seconds[p][n] - before[p][n]) / static_cast<double>(steps);
    }
  }
  std::vector<ProfileRow> rows;
  add_profile(rows, training.session().program(training.programs().first), seconds[0]);
  add_profile(rows, training.session().program(training.programs().update), seconds[1]);
  return rows;
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

double BenchResult::tokens_per_s() const {
  return static_cast<double>(request.batch * request.seq) / (step_ms.median / 1e3);
}

double BenchResult::sgemm_flops_per_s() const {
  return product_flops / (sgemm_ms.median / 1e3);
}

BenchResult run_bench(BenchRequest request) {
  const auto start = Clock::now();
  const ProgramSpec spec = bench_spec(request);
  TrainingSide training(spec, request);
  BenchResult result;
  result.request = request;
  result.loss = training.step().loss;
  result.first_step_s = seconds_since(start);
  result.threads = training.session().backend().threads();
  result.planned_gb = static_cast<double>(training.session().plan().arena_bytes) / 1e9;

  const Tape& tape = training.session().program(training.programs().first);
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
    result.profile = profile_since(training, before, request.steps);
    result.bandwidth = copy_bandwidth(result.threads);
  }
  return result;
}

nlohmann::json bench_json(const BenchResult& r) {
  const auto rounded = [](double value, double scale) { return std::round(value * scale) / scale; };
  nlohmann::json json = {{"engine", "lethe"},
                         {"device", "cpu"},
                         {"threads", r.threads},
                         {"shape", r.request.shape},
                         {"method", r.request.method},
                         {"rank", r.request.method == "lora" ? r.request.rank : 0},
                         {"batch", r.request.batch},
                         {"seq", r.request.seq},
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
                         {"ratio_without_attention", rounded(r.ratio_without_attention.median, 1e4)}};
  for (size_t i = 0; i < r.profile.size(); ++i) {
    const ProfileRow& row = r.profile[i];
    json["profile"].push_back({{"kind", row.kind},
                               {"calls", row.calls},
                               {"ms", row.seconds * 1e3},
                               {"flops", row.flops},
                               {"bytes", row.bytes}});
  }
  if (!r.profile.empty()) json["copy_gb_per_s"] = rounded(r.bandwidth / 1e9, 10);
  return json;
}

}  // namespace lethe
