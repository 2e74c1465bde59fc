#include "tools/bench/bench_model.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "engine/rng.h"
#include "tools/options/study_options.h"

namespace lethe {
namespace {

// The default study's model and batch, whatever its table says today.
LlamaConfig mini(BenchRequest& request) {
  const StudyOptions o = study_options(Settings(study_table()));
  LlamaConfig c;
  c.vocab_size = o.vocab_size;
  c.hidden_size = o.hidden_size;
  c.intermediate_size = o.intermediate_size;
  c.num_hidden_layers = o.layers;
  c.num_attention_heads = o.heads;
  c.num_key_value_heads = o.kv_heads;
  c.head_dim = o.hidden_size / o.heads;
  c.rms_norm_eps = 1e-5;
  c.max_position_embeddings = o.sequence_length;
  c.tie_word_embeddings = true;
  if (request.batch == 0) request.batch = o.batch_size;
  if (request.seq == 0) request.seq = o.sequence_length;
  return c;
}

LlamaConfig shape_135m(BenchRequest& request) {
  LlamaConfig c;
  c.vocab_size = 49152;
  c.hidden_size = 576;
  c.intermediate_size = 1536;
  c.num_hidden_layers = 30;
  c.num_attention_heads = 9;
  c.num_key_value_heads = 3;
  c.head_dim = 64;
  c.rope_theta = 1e5;
  c.max_position_embeddings = 8192;
  c.tie_word_embeddings = true;
  if (request.batch == 0) request.batch = 1;
  if (request.seq == 0) request.seq = 256;
  return c;
}

LlamaConfig from_file(BenchRequest& request) {
  if (!request.shape.ends_with(".json")) {
    throw ConfigError("--shape", fmt::format("'{}' is neither mini, nor 135m, nor the path of a config.json",
                                             request.shape));
  }
  if (request.batch == 0) request.batch = 1;
  if (request.seq == 0) request.seq = 256;
  return parse_config(request.shape);
}

void require_at_least(const char* option, int64_t value, int64_t least) {
  if (value < least) throw ConfigError(option, fmt::format("{} is below {}", value, least));
}

}  // namespace

ProgramSpec bench_spec(BenchRequest& request) {
  require_at_least("--batch", request.batch, 0);
  require_at_least("--seq", request.seq, 0);
  require_at_least("--steps", request.steps, 1);
  require_at_least("--threads", request.threads, 0);
  require_at_least("--rank", request.rank, 1);
  if (request.method != "full" && request.method != "lora") {
    throw ConfigError("--method", fmt::format("'{}' is neither full nor lora", request.method));
  }
  ProgramSpec spec;
  spec.config = request.shape == "mini"   ? mini(request)
                : request.shape == "135m" ? shape_135m(request)
                                          : from_file(request);
  if (request.seq < 2) throw ConfigError("--seq", "a sequence of one token has no target");
  if (request.seq > spec.config.max_position_embeddings) {
    throw ConfigError("--seq", fmt::format("{} is beyond the shape's max_position_embeddings of {}",
                                           request.seq, spec.config.max_position_embeddings));
  }
  if (request.method == "lora") {
    LoraConfig lora;
    lora.rank = request.rank;
    lora.alpha = 2.0 * static_cast<double>(request.rank);
    lora.target_modules = lora_targets();
    spec.lora = lora;
  }
  spec.precision = Precision::f32();
  spec.rows = request.batch;
  spec.tokens = request.seq;
  spec.documents = request.batch;
  spec.optimizer = OptimizerOptions{.learning_rate = 1e-5};
  return spec;
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
