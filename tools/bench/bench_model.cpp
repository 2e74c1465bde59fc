#include "tools/bench/bench_model.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/rng.h"
#include "tools/bench/shapes.h"

namespace lethe {
namespace {

void require_at_least(const char* option, int64_t value, int64_t least) {
  if (value < least) throw ConfigError(option, fmt::format("{} is below {}", value, least));
}

void require_one_of(const char* option, const std::string& value, const std::vector<std::string>& names) {
  if (std::ranges::find(names, value) == names.end()) {
    throw ConfigError(option, fmt::format("'{}' is none of {}", value, fmt::join(names, ", ")));
  }
}

bool on_gpu(const BenchRequest& request) {
  return request.device != "cpu";
}

void fill_in(BenchRequest& request, const BenchShape& shape) {
  if (!request.rank) request.rank = on_gpu(request) ? 64 : 16;
  if (!request.batch) request.batch = shape.batch;
  if (!request.seq) request.seq = shape.seq;
  if (request.recompute.empty()) request.recompute = on_gpu(request) ? "norms" : "none";
}

void check(const BenchRequest& request, const LlamaConfig& config) {
  require_one_of("--device", request.device, {"auto", "cpu", "cuda"});
  require_one_of("--method", request.method, {"full", "lora", "dora"});
  require_one_of("--state", request.state, {"bf16", "fp32"});
  require_at_least("--recompute-layers", request.recompute_layers, 0);
  require_one_of("--recompute", request.recompute, {"none", "rmsnorm", "swiglu", "norms", "mlp", "block"});
  require_at_least("--batch", *request.batch, 1);
  require_at_least("--rank", *request.rank, 1);
  require_at_least("--steps", request.steps, 1);
  require_at_least("--threads", request.threads, 0);
  if (!(request.peak_tflops > 0)) {
    throw ConfigError("--peak", fmt::format("{} TFLOP/s is not above 0", request.peak_tflops));
  }
  if (*request.seq < 2) throw ConfigError("--seq", "a sequence of one token has no target");
  if (*request.seq > config.max_position_embeddings) {
    throw ConfigError("--seq", fmt::format("{} is beyond the shape's max_position_embeddings of {}",
                                           *request.seq, config.max_position_embeddings));
  }
}

}  // namespace

void resolve_device(BenchRequest& request) {
  if (request.device == "auto") request.device = cuda_is_available() ? "cuda" : "cpu";
  if (request.device == "cuda" && !cuda_is_available()) {
    throw ConfigError("--device",
                      "cuda: this build has no CUDA backend, or this machine no GPU that it can use");
  }
}

Precision bench_precision(const BenchRequest& request) {
  if (!on_gpu(request)) return Precision::f32();
  if (request.method == "full" && request.state == "bf16") return Precision::bf16_state();
  // One micro-batch a step: nothing is added up, so gradients need be no wider than what makes them.
  Precision precision = Precision::bf16();
  precision.gradients = DType::bf16;
  return precision;
}

std::string state_name(const Precision& precision) {
  return precision.optimizer == DType::bf16 ? "bf16" : "fp32";
}

ProgramSpec bench_spec(BenchRequest& request) {
  const BenchShape shape = bench_shape(request.shape, on_gpu(request));
  fill_in(request, shape);
  check(request, shape.config);
  ProgramSpec spec;
  spec.config = shape.config;
  if (request.method != "full") {
    LoraConfig lora;
    lora.use_dora = request.method == "dora";
    lora.rank = *request.rank;
    lora.alpha = 2.0 * static_cast<double>(*request.rank);
    lora.target_modules = lora_targets();
    spec.lora = lora;
  }
  spec.precision = bench_precision(request);
  spec.recompute = recompute_from(request.recompute);
  spec.recompute_layers = request.recompute_layers;
  spec.rows = *request.batch;
  spec.tokens = *request.seq;
  spec.documents = *request.batch;
  spec.deterministic = request.deterministic;
  spec.optimizer = OptimizerOptions{.learning_rate = 1e-5};
  spec.distribution = {.comm = request.comm,
                       .sharding = sharding_from(request.sharding),
                       .sum_each_micro_batch = request.deterministic,
                       .bucket_bytes = request.bucket_mb << 20,
                       .alone_too = request.engine == "nccl"};
  return spec;
}

nlohmann::json request_json(const BenchRequest& request, const ProgramSpec& spec) {
  return {{"engine", "lethe"},
          {"device", request.device},
          {"shape", request.shape},
          {"method", request.method},
          {"rank", spec.lora ? *request.rank : 0},
          {"batch", *request.batch},
          {"seq", *request.seq},
          {"precision", std::string(name_of(spec.precision.compute))},
          {"state", state_name(spec.precision)},
          {"recompute", request.recompute},
          {"recompute_layers", request.recompute_layers},
          {"deterministic", spec.deterministic},
          {"world", request.world()},
          {"sharding", request.sharding}};
}

nlohmann::json plan_bench(BenchRequest request) {
  if (request.device == "auto") request.device = "cuda";
  const ProgramSpec spec = bench_spec(request);
  const Programs programs = record_programs(spec);
  const Device device = on_gpu(request) ? Device{DeviceKind::cuda, 1} : make_cpu_backend()->device();
  const Plan plan = make_plan(*programs.state, programs.views(), device);
  nlohmann::json json = request_json(request, spec);
  const auto gb = [](int64_t bytes) { return std::round(static_cast<double>(bytes) / 1e3) / 1e6; };
  json["planned_gb"] = gb(plan.arena_bytes);
  json["weights_gb"] = gb(plan.bytes_of(Kind::weight));
  json["gradients_gb"] = gb(plan.bytes_of(Kind::gradient));
  json["optimizer_gb"] = gb(plan.bytes_of(Kind::optimizer));
  json["activations_gb"] = gb(plan.bytes_of(Kind::activation));
  json["parameters"] = parameter_count(spec.config);
  json["flops_per_token"] = flops_per_token(spec.config, spec.lora ? *request.rank : 0, *request.seq);
  return json;
}

RandomBatch::RandomBatch(int64_t rows, int64_t tokens, int64_t vocab_size) {
  const Rng rng(1, stream_of("bench.tokens"));
  for (int64_t i = 0; i < rows * tokens; ++i) {
    const int64_t position = i % tokens;
    ids.push_back(
        static_cast<int32_t>(rng.below(static_cast<uint64_t>(i), static_cast<uint64_t>(vocab_size))));
    positions.push_back(static_cast<int32_t>(position));
    document_start.push_back(0);
  }
  for (int64_t i = 0; i < rows * tokens; ++i) {
    const bool last = i % tokens == tokens - 1;
    labels.push_back(last ? -100 : ids[static_cast<size_t>(i + 1)]);
    targets += last ? 0 : 1;
  }
}

MicroBatch RandomBatch::view() const {
  return {ids, labels, positions, document_start, 0, targets};
}

}  // namespace lethe
