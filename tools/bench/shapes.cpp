#include "tools/bench/shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/error.h"
#include "tools/run/study_model.h"

namespace lethe {
namespace {

struct NamedShape {
  const char* name;
  int64_t hidden, layers, heads, kv_heads, inner, vocab;
  bool tied;
  double rope_theta;
  int64_t longest;             // max_position_embeddings
  int64_t gpu_batch, gpu_seq;  // of a step on a GPU
};

constexpr std::array kShapes{
    NamedShape{"135m", 576, 30, 9, 3, 1536, 49152, true, 1e5, 8192, 16, 2048},
    NamedShape{"1b", 2048, 16, 32, 8, 8192, 128256, true, 5e5, 131072, 4, 4096},
    NamedShape{"7b", 4096, 32, 32, 32, 11008, 32000, false, 1e4, 4096, 2, 4096},
    NamedShape{"8b", 4096, 32, 32, 8, 14336, 128256, false, 5e5, 131072, 2, 4096},
};

BenchShape named(const NamedShape& s, bool on_gpu) {
  BenchShape made;
  LlamaConfig& c = made.config;
  c.vocab_size = s.vocab;
  c.hidden_size = s.hidden;
  c.intermediate_size = s.inner;
  c.num_hidden_layers = s.layers;
  c.num_attention_heads = s.heads;
  c.num_key_value_heads = s.kv_heads;
  c.head_dim = s.hidden / s.heads;
  c.rope_theta = s.rope_theta;
  c.rms_norm_eps = 1e-5;
  c.max_position_embeddings = s.longest;
  c.tie_word_embeddings = s.tied;
  if (on_gpu) {
    made.batch = s.gpu_batch;
    made.seq = s.gpu_seq;
  }
  return made;
}

// The default study's model and batch, whatever its table says today.
BenchShape mini() {
  const StudyOptions o = study_options(Settings(study_table()));
  BenchShape made;
  made.config = study_model(o, o.vocab_size);
  made.batch = o.batch_size;
  made.seq = o.sequence_length;
  return made;
}

}  // namespace

BenchShape bench_shape(const std::string& name, bool on_gpu) {
  if (name == "mini") return mini();
  for (const NamedShape& shape : kShapes) {
    if (name == shape.name) return named(shape, on_gpu);
  }
  if (!name.ends_with(".json")) {
    throw ConfigError("--shape", fmt::format("'{}' is none of mini, 135m, 1b, 7b, 8b, nor the path of a "
                                             "config.json",
                                             name));
  }
  BenchShape made{.config = parse_config(name)};
  if (on_gpu) made.seq = 2048;
  made.seq = std::min(made.seq, made.config.max_position_embeddings);
  return made;
}

double flops_per_token(const LlamaConfig& c, int64_t rank, int64_t seq) {
  const int64_t d = c.hidden_size, q = c.num_attention_heads * c.head_dim,
                kv = c.num_key_value_heads * c.head_dim, f = c.intermediate_size,
                layers = c.num_hidden_layers;
  const std::array<std::array<int64_t, 2>, 7> maps{
      {{d, q}, {d, kv}, {d, kv}, {q, d}, {d, f}, {d, f}, {f, d}}};
  int64_t base = c.vocab_size * d, low = 0;
  for (const auto& [in, out] : maps) {
    base += layers * in * out;
    low += layers * rank * (in + out);
  }
  const int64_t products = rank > 0 ? 4 * base + 6 * low : 6 * base;
  return static_cast<double>(products + 6 * layers * q * seq);
}

}  // namespace lethe
