#include "tools/bench/decode_bench.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/rng.h"
#include "tools/bench/bandwidth.h"
#include "tools/bench/gpu_limits.h"
#include "tools/bench/shapes.h"
#include "tools/run/generator.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<GenerationRequest> random_requests(const BenchRequest& request, int64_t new_tokens,
                                               int64_t vocab_size) {
  std::vector<GenerationRequest> requests(static_cast<size_t>(*request.batch));
  const Rng rng(1, stream_of("decode bench"));
  uint64_t position = 0;
  for (GenerationRequest& r : requests) {
    for (int64_t i = 0; i < *request.seq; ++i)
      r.prompt.push_back(static_cast<int32_t>(rng.below(position++, static_cast<uint64_t>(vocab_size))));
    r.max_new_tokens = new_tokens;
  }
  return requests;
}

}  // namespace

double DecodeBenchResult::tokens_per_s() const {
  return static_cast<double>(*request.batch) / (step_ms.median / 1e3);
}

double DecodeBenchResult::share_of_bandwidth() const {
  return (weight_bytes + kept_bytes) / bytes_per_s / (step_ms.median / 1e3);
}

DecodeBenchResult run_decode_bench(BenchRequest request, int64_t new_tokens) {
  DecodeBenchResult result;
  const bool gpu = request.device == "cuda";
  const LlamaConfig config = bench_spec(request).config;
  if (new_tokens < 4)
    throw ConfigError("--decode", std::to_string(new_tokens) + " tokens are too few to time");
  result.request = request;
  result.new_tokens = new_tokens;
  result.device_name = gpu ? gpu_facts().name : "cpu";
  result.bytes_per_s = gpu ? gpu_copy_bandwidth() : copy_bandwidth(static_cast<int>(request.threads));

  ModelSource source;
  source.config = config;
  source.initial_seed = 1;
  Generator generator(std::move(source), {.precision = gpu ? "bfloat16" : "float32",
                                          .device = request.device,
                                          .slots = *request.batch,
                                          .capacity = *request.seq + new_tokens,
                                          .prompt_tokens = 512,
                                          .threads = request.threads});
  std::vector<Clock::time_point> at;
  const auto start = Clock::now();
  generator.run(random_requests(request, new_tokens, config.vocab_size), [&](size_t r, int32_t) {
    if (r + 1 == static_cast<size_t>(*request.batch)) at.push_back(Clock::now());
    return true;
  });
  result.prompts_s = std::chrono::duration<double>(at[0] - start).count();
  std::vector<double> steps;
  const size_t first = at.size() / 3;
  for (size_t i = std::max<size_t>(first, 1); i < at.size(); ++i)
    steps.push_back(std::chrono::duration<double, std::milli>(at[i] - at[i - 1]).count());
  result.step_ms = spread_of(steps);

  const double element = gpu ? 2 : 4;
  const double lookup =
      config.tie_word_embeddings ? 0 : static_cast<double>(config.vocab_size * config.hidden_size);
  result.weight_bytes = element * (static_cast<double>(parameter_count(config)) - lookup);
  const double middle = static_cast<double>(*request.seq) + static_cast<double>(first + at.size()) / 2;
  result.kept_bytes =
      element * static_cast<double>(*request.batch) * middle * 2 *
      static_cast<double>(config.num_hidden_layers * config.num_key_value_heads * config.head_dim);
  return result;
}

nlohmann::json decode_bench_json(const DecodeBenchResult& r) {
  const auto rounded = [](double value, double scale) { return std::round(value * scale) / scale; };
  return {{"engine", "lethe"},
          {"what", "decode"},
          {"shape", r.request.shape},
          {"device", r.request.device},
          {"gpu", r.device_name},
          {"batch", *r.request.batch},
          {"prompt_tokens", *r.request.seq},
          {"new_tokens", r.new_tokens},
          {"prompts_s", rounded(r.prompts_s, 1e3)},
          {"tokens_per_s", rounded(r.tokens_per_s(), 10)},
          {"step_ms", rounded(r.step_ms.median, 1e3)},
          {"step_ms_low", rounded(r.step_ms.low, 1e3)},
          {"step_ms_high", rounded(r.step_ms.high, 1e3)},
          {"weight_gb", rounded(r.weight_bytes / 1e9, 1e3)},
          {"kept_gb", rounded(r.kept_bytes / 1e9, 1e3)},
          {"copy_tb_per_s", rounded(r.bytes_per_s / 1e12, 1e3)},
          {"share_of_bandwidth", rounded(r.share_of_bandwidth(), 1e4)}};
}

}  // namespace lethe
