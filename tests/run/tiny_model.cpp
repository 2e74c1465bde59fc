#include "tests/run/tiny_model.h"

#include "engine/host_values.h"
#include "engine/rng.h"
#include "engine/step_inputs.h"

namespace lethe::test {

LlamaConfig tiny_config(bool tied) {
  LlamaConfig c;
  c.vocab_size = 13;
  c.hidden_size = 12;
  c.intermediate_size = 10;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 4;
  c.rms_norm_eps = 1e-5;
  c.max_position_embeddings = 64;
  c.tie_word_embeddings = tied;
  c.initializer_range = 0.3;
  return c;
}

void use_family(LlamaConfig& c, const std::string& model_type) {
  c.model_type = model_type;
  c.qkv_bias = model_type == "qwen2" || model_type == "qwen3";
  c.output_bias = c.qk_norm = model_type == "qwen3";
  c.mlp_bias = model_type == "smollm3";
  if (model_type == "qwen3") {
    c.sliding_window = 4;
    c.full_layers = {false, true};
  }
  if (model_type == "smollm3") c.unrotated_layers = {true, false};
}

LoraConfig tiny_lora(int64_t rank, double dropout) {
  LoraConfig lora;
  lora.rank = rank;
  lora.alpha = 2.0 * static_cast<double>(rank);
  lora.dropout = dropout;
  lora.target_modules = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  return lora;
}

TinyBatch::TinyBatch(int64_t rows, int64_t tokens_per_row, int64_t vocab_size) : tokens(tokens_per_row) {
  const Rng rng(3, stream_of("batch"));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < tokens; ++t) {
      const auto at = static_cast<uint64_t>(r * tokens + t);
      const auto draw = [&](uint64_t k) {
        return static_cast<int32_t>(rng.below(2 * at + k, static_cast<uint64_t>(vocab_size)));
      };
      const bool ignored = t == 2 || t < r;
      const int32_t start = t >= 3 ? 3 : 0;
      ids.push_back(draw(0));
      labels.push_back(ignored ? -100 : draw(1));
      document_start.push_back(start);
      positions.push_back(static_cast<int32_t>(t) - start);
    }
  }
}

MicroBatch TinyBatch::part(int64_t first, int64_t count) const {
  const auto cut = [&](const std::vector<int32_t>& v) {
    return std::span(v).subspan(static_cast<size_t>(first * tokens), static_cast<size_t>(count * tokens));
  };
  MicroBatch m{cut(ids), cut(labels), cut(positions), cut(document_start), first * tokens, 0};
  for (const int32_t l : m.labels) m.targets += l != -100;
  return m;
}

TinyRun::TinyRun(const ProgramSpec& spec, int threads, bool keep_logits)
    : TinyRun(spec, make_cpu_backend({.threads = threads}), keep_logits) {}

TinyRun::TinyRun(const ProgramSpec& spec, std::unique_ptr<Backend> backend, bool keep_logits)
    : programs(record_programs(spec, keep_logits)),
      session(std::make_unique<Session>(std::move(programs.state), std::move(programs.tapes),
                                        std::move(backend))) {
  fill_rope_table(*session, spec.config);
  initialise_weights(*session, spec.config, 1);
  if (spec.lora) initialise_lora(*session, 1);
  if (spec.optimizer) initialise_optimizer(*session);
  session->set<int64_t>(step::seed, {17});
  session->set<int64_t>(step::index, {1});
}

void randomise_lora_b(Session& session, uint64_t seed) {
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo& p = session.state()[i];
    if (!p.name.ends_with(".lora_B.weight") || p.kind != Kind::weight) continue;
    const Rng rng(seed, stream_of(p.name));
    std::vector<double> values(static_cast<size_t>(elements_of(p.shape)));
    for (size_t k = 0; k < values.size(); ++k) values[k] = 0.2 * rng.normal(k);
    set_host_values(session, p.name, values);
  }
}

ProgramSpec tiny_spec(DType dtype, bool tied) {
  ProgramSpec spec;
  spec.config = tiny_config(tied);
  spec.precision = dtype == DType::f64    ? Precision::f64()
                   : dtype == DType::bf16 ? Precision::bf16()
                                          : Precision::f32();
  spec.rows = 2;
  spec.tokens = 7;
  spec.optimizer = OptimizerOptions{};
  return spec;
}

}  // namespace lethe::test
