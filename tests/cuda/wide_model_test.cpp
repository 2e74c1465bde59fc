// Models of a real model's proportions, small in depth alone: heads of 64 and 128 that a library's attention
// takes, documents packed into rows, in bf16.
#include "engine/rng.h"
#include "engine/step_inputs.h"
#include "tests/cuda/compare.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

struct ModelShape {
  std::string name;
  int64_t hidden = 0, heads = 0, kv_heads = 0, intermediate = 0;
  int64_t rows = 0, tokens = 0;
  int64_t rank = 0;       // 0: full fine-tuning
  bool documents = true;  // several to a row
  int64_t window = 0;     // 0: none
  bool tied = false;
  Recompute recompute = Recompute::none;
  std::string family = "llama";
};

void PrintTo(const ModelShape& shape, std::ostream* out) {
  *out << shape.name;
}

ProgramSpec spec_of(const ModelShape& s, DType dtype) {
  ProgramSpec spec = tiny_spec(dtype, s.tied);
  LlamaConfig& c = spec.config;
  c.vocab_size = 1031;
  c.hidden_size = s.hidden;
  c.intermediate_size = s.intermediate;
  c.num_attention_heads = s.heads;
  c.num_key_value_heads = s.kv_heads;
  c.head_dim = s.hidden / s.heads;
  c.max_position_embeddings = s.tokens;
  c.sliding_window = s.window;
  if (s.family != "llama") use_family(c, s.family);
  c.initializer_range = 0.04;  // attention that is not flat
  spec.rows = s.rows;
  spec.tokens = s.tokens;
  spec.recompute = s.recompute;
  if (s.rank > 0) spec.lora = tiny_lora(s.rank, 0);
  return spec;
}

// Documents of one token, of a tile's length and of lengths that end anywhere; the last of a row fills it.
TinyBatch batch_of(const ModelShape& s, int64_t vocab_size) {
  constexpr int64_t lengths[] = {1, 37, 64, 5, 128, 2, 13};
  TinyBatch batch(s.rows, s.tokens, vocab_size);
  size_t at = 0;
  for (int64_t r = 0; r < s.rows; ++r) {
    auto which = static_cast<size_t>(r);
    int64_t begin = 0, end = s.documents ? lengths[which++ % 7] : s.tokens;
    for (int64_t t = 0; t < s.tokens; ++t, ++at) {
      if (t == end) {
        begin = end;
        end = std::min(s.tokens, end + lengths[which++ % 7]);
      }
      batch.positions[at] = static_cast<int32_t>(t - begin);
      batch.document_start[at] = static_cast<int32_t>(begin);
      batch.labels[at] = t + 1 < end ? batch.ids[at + 1] : -100;
    }
  }
  return batch;
}

// Every weight as `from` holds it, in the type of `to`.
void copy_weights(const Session& from, Session& to) {
  for (int32_t i = 0; i < from.state().size(); ++i) {
    const PersistentInfo& p = from.state()[i];
    if (p.kind == Kind::weight && p.parent < 0) set_host_values(to, p.name, host_values(from, p.name));
  }
}

struct Gradients {
  // `like`: whose weights to take; none: fresh ones.
  Gradients(const ModelShape& shape, DType dtype, std::unique_ptr<Backend> backend,
            const Gradients* like = nullptr)
      : run(spec_of(shape, dtype), std::move(backend)) {
    Session& session = *run.session;
    if (shape.rank > 0) randomise_lora_b(session, 5);
    if (like) copy_weights(*like->run.session, session);
    const TinyBatch batch = batch_of(shape, 1031);
    const MicroBatch all = batch.part(0, shape.rows);
    set_batch(session, all);
    set_loss_gradient(session, 1.0 / static_cast<double>(all.targets));
    for (int i = 0; i < 3; ++i) session.run(run.programs.step->first);  // eager, captured, replayed
    found = loss_and_gradients(session, step::loss_sum);
  }
  TinyRun run;
  Found found;
};

class WideModel : public testing::TestWithParam<ModelShape> {};

// The yardstick is the CPU's bf16: it rounds the same values, but keeps the softmax's weights in float where
// the tensor cores take them in bf16; half as much again, and one rounding of a bf16, 2^-8, for what a tensor
// with next to no error adds. The truth is float, 2^-24 a rounding, from the same weights.
TEST_P(WideModel, GradientsInBf16AreAsNearTheTruthAsTheCpus) {
  LETHE_NEEDS_GPU();
  const Gradients cpu(GetParam(), DType::bf16, make_cpu_backend());
  const Gradients truth(GetParam(), DType::f32, make_cpu_backend(), &cpu);
  const Gradients cuda(GetParam(), DType::bf16, make_cuda_backend(), &cpu);
  ASSERT_EQ(cuda.found.size(), truth.found.size());
  for (const auto& [name, values] : truth.found) {
    EXPECT_LE(distance(cuda.found.at(name), values), 1.5 * distance(cpu.found.at(name), values) + 0x1p-8)
        << name;
  }
}

// Sums of 1024 terms through two layers: some 100 roundings of 6e-8 that follow each other, each of a sum of
// whose sqrt(1024) parts none is rounded alike.
TEST_P(WideModel, GradientsInFloatAreTheCpus) {
  LETHE_NEEDS_GPU();
  const Gradients cpu(GetParam(), DType::f32, make_cpu_backend());
  const Gradients cuda(GetParam(), DType::f32, make_cuda_backend(), &cpu);
  for (const auto& [name, values] : cpu.found) EXPECT_LE(distance(cuda.found.at(name), values), 2e-4) << name;
}

TEST_P(WideModel, HasTheSameBitsAgainInAGraphAndRecomputed) {
  LETHE_NEEDS_GPU();
  const Gradients first(GetParam(), DType::bf16, make_cuda_backend({.graph = false}));
  EXPECT_EQ(first.found, Gradients(GetParam(), DType::bf16, make_cuda_backend({.graph = false})).found);
  EXPECT_EQ(first.found, Gradients(GetParam(), DType::bf16, make_cuda_backend({.graph = true})).found);
  for (const Recompute recompute : {Recompute::norms, Recompute::mlp, Recompute::block}) {
    ModelShape again = GetParam();
    again.recompute = recompute;
    EXPECT_EQ(first.found, Gradients(again, DType::bf16, make_cuda_backend()).found)
        << static_cast<int>(recompute);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, WideModel,
                         testing::Values(ModelShape{.name = "heads_of_128",
                                                    .hidden = 1024,
                                                    .heads = 8,
                                                    .kv_heads = 8,
                                                    .intermediate = 2816,
                                                    .rows = 2,
                                                    .tokens = 256},
                                         ModelShape{.name = "heads_of_128_grouped_one_document",
                                                    .hidden = 1024,
                                                    .heads = 8,
                                                    .kv_heads = 2,
                                                    .intermediate = 1408,
                                                    .rows = 2,
                                                    .tokens = 256,
                                                    .documents = false},
                                         ModelShape{.name = "heads_of_64_grouped_tied",
                                                    .hidden = 576,
                                                    .heads = 9,
                                                    .kv_heads = 3,
                                                    .intermediate = 1536,
                                                    .rows = 3,
                                                    .tokens = 200,
                                                    .tied = true},
                                         ModelShape{.name = "heads_of_128_window",
                                                    .hidden = 512,
                                                    .heads = 4,
                                                    .kv_heads = 2,
                                                    .intermediate = 704,
                                                    .rows = 2,
                                                    .tokens = 256,
                                                    .window = 70},
                                         ModelShape{.name = "lora_heads_of_128",
                                                    .hidden = 1024,
                                                    .heads = 8,
                                                    .kv_heads = 2,
                                                    .intermediate = 2816,
                                                    .rows = 2,
                                                    .tokens = 256,
                                                    .rank = 64},
                                         ModelShape{.name = "lora_rank5_heads_of_64",
                                                    .hidden = 576,
                                                    .heads = 9,
                                                    .kv_heads = 3,
                                                    .intermediate = 1536,
                                                    .rows = 1,
                                                    .tokens = 333,
                                                    .rank = 5},
                                         ModelShape{.name = "qwen2_tied",
                                                    .hidden = 512,
                                                    .heads = 8,
                                                    .kv_heads = 2,
                                                    .intermediate = 704,
                                                    .rows = 2,
                                                    .tokens = 200,
                                                    .tied = true,
                                                    .family = "qwen2"},
                                         ModelShape{.name = "qwen3",
                                                    .hidden = 512,
                                                    .heads = 4,
                                                    .kv_heads = 2,
                                                    .intermediate = 704,
                                                    .rows = 2,
                                                    .tokens = 256,
                                                    .family = "qwen3"},
                                         ModelShape{.name = "qwen3_lora",
                                                    .hidden = 512,
                                                    .heads = 4,
                                                    .kv_heads = 2,
                                                    .intermediate = 704,
                                                    .rows = 2,
                                                    .tokens = 200,
                                                    .rank = 5,
                                                    .family = "qwen3"},
                                         ModelShape{.name = "smollm3",
                                                    .hidden = 512,
                                                    .heads = 4,
                                                    .kv_heads = 1,
                                                    .intermediate = 704,
                                                    .rows = 2,
                                                    .tokens = 200,
                                                    .tied = true,
                                                    .family = "smollm3"}),
                         [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace lethe::test
