// The whole model: its gradient in double, and what must not change a bit.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/host_values.h"
#include "engine/rng.h"
#include "engine/step_inputs.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

struct Variant {
  std::string name;
  bool tied = false;
  int64_t rank = 0;  // 0: full fine-tuning
  double dropout = 0;
  Recompute recompute = Recompute::none;
  int64_t recompute_layers = 0;
  std::vector<std::string> targets = {};  // of LoRA; all seven where none is named
  void (*change)(LoraConfig&) = nullptr;
  std::string family = "llama";
  double attention_dropout = 0;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.name;
}

ProgramSpec spec_of(const Variant& v, DType dtype) {
  ProgramSpec spec = tiny_spec(dtype, v.tied);
  if (v.rank > 0) spec.lora = tiny_lora(v.rank, v.dropout);
  if (!v.targets.empty()) spec.lora->target_modules = v.targets;
  if (v.change) v.change(*spec.lora);
  spec.recompute = v.recompute;
  spec.recompute_layers = v.recompute_layers;
  if (v.family != "llama") use_family(spec.config, v.family);
  spec.config.attention_dropout = v.attention_dropout;
  return spec;
}

class WholeModel : public testing::TestWithParam<Variant> {};

// Fourth-order differences as in tests/engine: see there for the bound.
TEST_P(WholeModel, GradientMatchesCentralDifferences) {
  const ProgramSpec spec = spec_of(GetParam(), DType::f64);
  TinyRun run(spec, 2);
  Session& session = *run.session;
  if (spec.lora) randomise_lora_b(session, 5);
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  const MicroBatch all = batch.part(0, spec.rows);
  set_batch(session, all);
  set_loss_gradient(session, 1.0 / static_cast<double>(all.targets));
  const auto loss = [&] {
    session.run(run.programs.step->first);
    return session.get<double>(step::loss_sum)[0] / static_cast<double>(all.targets);
  };
  loss();
  std::map<std::string, std::vector<double>> gradients;
  for (const int32_t p : session.state().trainable()) {
    const std::string name = session.state()[p].name;
    gradients[name] = session.get<double>(State::gradient_name(name));
  }
  ASSERT_GE(gradients.size(), 4u);
  for (const auto& [name, gradient] : gradients) {
    // DoRA's gradient holds norms constant that A and B change: tests/engine/op_cases_adapters.cpp has them.
    const bool moves_norms = spec.lora && spec.lora->use_dora && !name.ends_with("magnitude_vector");
    if (moves_norms) continue;
    std::vector<double> values = session.get<double>(name);
    const Rng rng(23, stream_of(name));
    double difference = 0, norm = 0;
    for (uint64_t s = 0; s < 12; ++s) {
      const size_t i = rng.below(s, values.size());
      const double middle = values[i], h = 1e-3;
      const auto at = [&](double x) {
        values[i] = x;
        session.set(name, values);
        return loss();
      };
      const double numeric =
          (8 * (at(middle + h) - at(middle - h)) - (at(middle + 2 * h) - at(middle - 2 * h))) / (12 * h);
      values[i] = middle;
      difference += (gradient[i] - numeric) * (gradient[i] - numeric);
      norm += numeric * numeric;
    }
    session.set(name, values);
    EXPECT_LT(std::sqrt(difference), 1e-6 * std::max(std::sqrt(norm), 1e-6)) << name;
  }
}

// All gradients and the loss of one micro-batch.
std::map<std::string, std::vector<double>> gradients_of(const ProgramSpec& spec, int threads) {
  TinyRun run(spec, threads);
  Session& session = *run.session;
  if (spec.lora) randomise_lora_b(session, 5);
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  set_batch(session, batch.part(0, spec.rows));
  set_loss_gradient(session, 0.1);
  session.run(run.programs.step->first);
  std::map<std::string, std::vector<double>> found;
  found["loss"] = host_values(session, step::loss_sum);
  for (const int32_t p : session.state().trainable()) {
    const std::string name = State::gradient_name(session.state()[p].name);
    found[name] = host_values(session, name);
  }
  return found;
}

TEST_P(WholeModel, RecomputationAndThreadsDoNotChangeABit) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Variant kept = GetParam();
    kept.recompute = Recompute::none;
    const auto reference = gradients_of(spec_of(kept, dtype), 1);
    EXPECT_EQ(reference, gradients_of(spec_of(GetParam(), dtype), 1)) << name_of(dtype);
    EXPECT_EQ(reference, gradients_of(spec_of(GetParam(), dtype), 2)) << name_of(dtype);
    EXPECT_EQ(reference, gradients_of(spec_of(GetParam(), dtype), 4)) << name_of(dtype);
  }
}

void dora(LoraConfig& lora) {
  lora.use_dora = true;
}
// Ranks that differ within a merged product, at one scale and at several.
void ranks(LoraConfig& lora) {
  lora.rank_pattern = {{"k_proj", 2}, {"layers.1.mlp.gate_proj", 4}};
  lora.alpha_pattern = {{"k_proj", 4}, {"layers.1.mlp.gate_proj", 8}};
}
void ranks_and_scales(LoraConfig& lora) {
  lora.rank_pattern = {{"k_proj", 2}, {"layers.1.mlp.gate_proj", 4}};
  lora.layers_to_transform = {1};
}
void dora_of_ranks(LoraConfig& lora) {
  lora.use_dora = true;
  ranks_and_scales(lora);
}
void whole_modules(LoraConfig& lora) {
  lora.modules_to_save = {"embed_tokens", "lm_head", "norm", "layers.1.input_layernorm"};
}

std::vector<Variant> variants() {
  return {
      {"full", false},
      {"full_tied", true},
      {"full_tied_norms", true, 0, 0, Recompute::norms},
      {"full_rmsnorm", true, 0, 0, Recompute::rmsnorm},
      {"full_swiglu", false, 0, 0, Recompute::swiglu},
      {"full_mlp", false, 0, 0, Recompute::mlp},
      {"full_block", false, 0, 0, Recompute::block},
      {"full_block_of_one_layer", false, 0, 0, Recompute::block, 1},
      {"lora_norms_of_one_layer", true, 3, 0, Recompute::norms, 1},
      {"lora", false, 3},
      {"lora_norms", true, 3, 0, Recompute::norms},
      {"lora_mlp", false, 3, 0, Recompute::mlp},
      {"lora_block", false, 3, 0, Recompute::block},
      {"lora_q_v", false, 2, 0, Recompute::norms, 0, {"q_proj", "v_proj"}},
      {"lora_k_up_down", false, 5, 0, Recompute::none, 0, {"k_proj", "up_proj", "down_proj"}},
      {"lora_o", false, 64, 0, Recompute::none, 0, {"o_proj"}},
      {"lora_ranks", false, 3, 0, Recompute::norms, 0, {}, ranks},
      {"lora_ranks_and_scales", false, 3, 0, Recompute::none, 0, {}, ranks_and_scales},
      {"lora_whole_modules", false, 3, 0, Recompute::block, 0, {}, whole_modules},
      {"dora", true, 3, 0, Recompute::none, 0, {}, dora},
      {"dora_q_v_norms", false, 3, 0, Recompute::norms, 0, {"q_proj", "v_proj", "down_proj"}, dora},
      {"dora_mlp", false, 3, 0, Recompute::mlp, 0, {}, dora},
      {"dora_block", false, 3, 0, Recompute::block, 0, {}, dora},
      {"dora_ranks_and_scales", false, 3, 0, Recompute::block, 0, {}, dora_of_ranks},
      {"lora_dropout", true, 3, 0.3},
      {"lora_dropout_norms", false, 3, 0.3, Recompute::norms},
      {"lora_dropout_mlp", false, 3, 0.3, Recompute::mlp},
      {"lora_dropout_block", true, 3, 0.3, Recompute::block},
      {"qwen2_norms", true, 0, 0, Recompute::norms, 0, {}, nullptr, "qwen2"},
      {"qwen2_lora_block", false, 3, 0, Recompute::block, 0, {}, nullptr, "qwen2"},
      {"qwen3_block", false, 0, 0, Recompute::block, 0, {}, nullptr, "qwen3"},
      {"qwen3_lora_norms", true, 3, 0, Recompute::norms, 0, {}, nullptr, "qwen3"},
      {"qwen3_lora_dropout_block", false, 2, 0.3, Recompute::block, 0, {"k_proj"}, nullptr, "qwen3"},
      {"smollm3_mlp", true, 0, 0, Recompute::mlp, 0, {}, nullptr, "smollm3"},
      {"smollm3_lora_dropout_block", false, 3, 0.3, Recompute::block, 0, {}, nullptr, "smollm3"},
      {"attention_dropout", false, 0, 0, Recompute::none, 0, {}, nullptr, "llama", 0.3},
      {"attention_dropout_block", true, 0, 0, Recompute::block, 0, {}, nullptr, "llama", 0.3},
      {"lora_attention_dropout_block", false, 3, 0.2, Recompute::block, 0, {}, nullptr, "qwen3", 0.1},
  };
}

std::string name_of_variant(const testing::TestParamInfo<Variant>& variant) {
  return variant.param.name;
}

INSTANTIATE_TEST_SUITE_P(Variants, WholeModel, testing::ValuesIn(variants()), name_of_variant);

TEST(Lora, ComputesNothingForFrozenWeights) {
  const auto backward_flops = [](bool lora) {
    ProgramSpec spec = tiny_spec(DType::f32);
    if (lora) spec.lora = tiny_lora(1, 0);
    const Programs programs = record_programs(spec);
    double flops = 0;
    for (const Node& node : programs.tapes[0]->nodes()) {
      if (node.phase == Phase::backward) flops += node.op->cost(node, *programs.tapes[0]).flops;
      if (!lora) continue;
      for (const Output& o : node.outputs) {
        const TensorInfo& t = programs.tapes[0]->info(o.var);
        if (t.kind != Kind::gradient) continue;
        EXPECT_NE(t.path.find("lora_"), std::string::npos) << t.path;
      }
    }
    return flops;
  };
  EXPECT_LT(backward_flops(true), backward_flops(false));
}

// Inside the large products or added behind them: the same sums in another order. Dropout of a rate below any
// resolution drops nothing and takes the second way.
TEST(Lora, IsTheSameInsideTheProductsOrAdded) {
  const auto run = [](double dropout) {
    ProgramSpec spec = tiny_spec(DType::f64);
    spec.lora = tiny_lora(3, dropout);
    TinyRun made(spec, 2);
    randomise_lora_b(*made.session, 5);
    const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
    Trainer trainer(*made.session, *made.programs.step);
    std::vector<double> found;
    for (int64_t step = 1; step <= 3; ++step) {
      const StepResult result = trainer.step_now({batch.part(0, spec.rows)}, step, {1e-2});
      found.push_back(result.loss);
      found.push_back(result.gradient_norm);
    }
    for (const char* map : {"self_attn.k_proj", "mlp.up_proj", "mlp.down_proj"}) {
      for (const char* factor : {".lora_A.weight", ".lora_B.weight"}) {
        const auto values = host_values(*made.session, std::string("model.layers.1.") + map + factor);
        found.insert(found.end(), values.begin(), values.end());
      }
    }
    return found;
  };
  const std::vector<double> inside = run(0), added = run(1e-300);
  ASSERT_EQ(inside.size(), added.size());
  // Three steps of some hundred roundings each, which AdamW's division may magnify a thousandfold.
  for (size_t i = 0; i < inside.size(); ++i) EXPECT_NEAR(inside[i], added[i], 1e-10) << i;
}

TEST(Lora, LeavesEveryFrozenByteAsItWas) {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.lora = tiny_lora(3, 0.1);
  TinyRun run(spec, 2);
  Session& session = *run.session;
  const auto frozen = [&] {
    std::map<std::string, std::vector<double>> found;
    for (int32_t i = 0; i < session.state().size(); ++i) {
      const PersistentInfo& p = session.state()[i];
      if (p.kind == Kind::weight && !p.trainable) found[p.name] = host_values(session, p.name);
    }
    return found;
  };
  const auto before = frozen();
  const auto adapters = host_values(session, "model.layers.1.mlp.down_proj.lora_B.weight");
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  Trainer trainer(session, *run.programs.step);
  for (int64_t step = 1; step <= 5; ++step) trainer.step_now({batch.part(0, spec.rows)}, step, {1e-2});
  EXPECT_EQ(before, frozen());
  EXPECT_NE(adapters, host_values(session, "model.layers.1.mlp.down_proj.lora_B.weight"));
}

// Evaluation is that of a model without dropout; each step of training drops others.
TEST(AttentionDropout, BelongsToTraining) {
  const auto run = [](double rate) {
    ProgramSpec spec = tiny_spec(DType::f32);
    spec.config.attention_dropout = rate;
    TinyRun made(spec, 2);
    const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
    Session& session = *made.session;
    set_batch(session, batch.part(0, spec.rows));
    session.run(made.programs.evaluate);
    std::vector<double> losses;
    const Buffer evaluated = session.buffer(made.programs.evaluate, made.programs.losses);
    for (int64_t i = 0; i < evaluated.rows * evaluated.width; ++i)
      losses.push_back(static_cast<double>(evaluated.as<const float>().data[i]));
    Trainer trainer(session, *made.programs.step);
    for (int64_t step = 1; step <= 2; ++step)
      losses.push_back(trainer.step_now({batch.part(0, spec.rows)}, step, {0.0, 0.0}).loss);
    return losses;
  };
  const std::vector<double> with = run(0.3), without = run(0);
  ASSERT_EQ(with.size(), without.size());
  const size_t evaluated = with.size() - 2;
  for (size_t i = 0; i < evaluated; ++i) EXPECT_EQ(with[i], without[i]) << i;
  EXPECT_EQ(without[evaluated], without[evaluated + 1]);
  EXPECT_NE(with[evaluated], without[evaluated]);
  EXPECT_NE(with[evaluated], with[evaluated + 1]);
}

// Four micro-batches of one row each, with 6, 5, 4 and 3 targets, against one batch of four rows.
TEST(Accumulation, EqualsOneBatchToRounding) {
  const auto train = [&](int64_t rows_at_once) {
    ProgramSpec spec = tiny_spec(DType::f32);
    spec.lora = tiny_lora(3, 0.3);
    spec.config.attention_dropout = 0.2;
    spec.rows = rows_at_once;
    spec.accumulate = rows_at_once < 4;
    TinyRun run(spec, 2);
    randomise_lora_b(*run.session, 5);
    const TinyBatch batch(4, spec.tokens, spec.config.vocab_size);
    std::vector<MicroBatch> parts;
    for (int64_t r = 0; r < 4; r += rows_at_once) parts.push_back(batch.part(r, rows_at_once));
    Trainer trainer(*run.session, *run.programs.step);
    const StepResult result = trainer.step_now(parts, 1, {0.0});
    std::map<std::string, std::vector<double>> found;
    found["loss"] = {result.loss};
    found["norm"] = {result.gradient_norm};
    for (const int32_t p : run.session->state().trainable()) {
      const std::string name = State::gradient_name(run.session->state()[p].name);
      found[name] = host_values(*run.session, name);
    }
    return found;
  };
  const auto whole = train(4), parts = train(1);
  for (const auto& [name, expected] : whole) {
    const std::vector<double>& got = parts.at(name);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += (got[i] - expected[i]) * (got[i] - expected[i]);
      norm += expected[i] * expected[i];
    }
    // Sums of at most 28 tokens' contributions in another order: 28 roundings of 6e-8, times a few for the
    // activations before them.
    EXPECT_LE(std::sqrt(difference), 1e-5 * std::sqrt(norm)) << name;
  }
}

// The fewer layers' activations are kept, the less there is at the peak.
TEST(Plan, RecomputesInAsManyLayersAsAreAsked) {
  const auto bytes = [](Recompute policy, int64_t layers) {
    ProgramSpec spec = tiny_spec(DType::f32);
    spec.config.num_hidden_layers = 8;
    spec.recompute = policy;
    spec.recompute_layers = layers;
    const Programs programs = record_programs(spec);
    return make_plan(*programs.state, programs.views(), {.threads = 2})
        .programs[0]
        .at_peak[static_cast<size_t>(Kind::activation)];
  };
  EXPECT_EQ(bytes(Recompute::block, 8), bytes(Recompute::block, 0));
  EXPECT_LT(bytes(Recompute::block, 4), bytes(Recompute::none, 0));
  EXPECT_LT(bytes(Recompute::block, 0), bytes(Recompute::block, 4));
}

TEST(Plan, AllocatesExactlyWhatItPlans) {
  const ProgramSpec spec = tiny_spec(DType::f32);
  Programs programs = record_programs(spec);
  const Plan plan = make_plan(*programs.state, programs.views(), {.threads = 2});
  struct Counting final : Backend {
    explicit Counting(int64_t& bytes) : asked(bytes), inner(make_cpu_backend({.threads = 2})) {}
    std::shared_ptr<void> allocate(int64_t bytes) override {
      asked += bytes;
      return inner->allocate(bytes);
    }
    std::unique_ptr<Executable> compile(const Tape& t, const ProgramPlan& p, void* arena) override {
      return inner->compile(t, p, arena);
    }
    void upload(void* d, const void* h, int64_t n) override { inner->upload(d, h, n); }
    void download(void* h, const void* d, int64_t n) override { inner->download(h, d, n); }
    int threads() const override { return 2; }
    int64_t& asked;
    std::unique_ptr<Backend> inner;
  };
  int64_t asked = 0;
  const Session session(std::move(programs.state), std::move(programs.tapes),
                        std::make_unique<Counting>(asked));
  EXPECT_EQ(asked, plan.arena_bytes);
  EXPECT_EQ(session.plan().arena_bytes, plan.arena_bytes);
}

}  // namespace
}  // namespace lethe::test
