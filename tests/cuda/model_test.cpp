// The whole model on the GPU: its gradients and its training beside the CPU's, and what must not change a
// bit.
#include <fmt/format.h>

#include "engine/step_inputs.h"
#include "tests/cuda/compare.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

struct Variant {
  std::string name;
  bool tied = false;
  int64_t rank = 0;  // 0: full fine-tuning
  double dropout = 0;
  Recompute recompute = Recompute::none;
  std::string optimizer = "adamw";
  bool dora = false;
  double attention_dropout = 0;
};

void PrintTo(const Variant& variant, std::ostream* out) {
  *out << variant.name;
}

ProgramSpec spec_of(const Variant& v, DType dtype) {
  ProgramSpec spec = tiny_spec(dtype, v.tied);
  if (v.rank > 0) spec.lora = tiny_lora(v.rank, v.dropout);
  if (v.dora) spec.lora->use_dora = true;
  spec.config.attention_dropout = v.attention_dropout;
  spec.recompute = v.recompute;
  spec.optimizer->name = v.optimizer;
  spec.optimizer->learning_rate = v.optimizer == "lion" ? 1e-3 : 1e-2;
  return spec;
}

Found gradients_of(const ProgramSpec& spec, std::unique_ptr<Backend> backend) {
  TinyRun run(spec, std::move(backend));
  Session& session = *run.session;
  if (spec.lora) randomise_lora_b(session, 5);
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  const MicroBatch all = batch.part(0, spec.rows);
  set_batch(session, all);
  set_loss_gradient(session, 1.0 / static_cast<double>(all.targets));
  session.run(run.programs.step->first);
  return loss_and_gradients(session, step::loss_sum);
}

struct Curve {
  std::vector<double> losses, norms;
  Found weights;
  bool operator==(const Curve&) const = default;
};

Curve train(const ProgramSpec& spec, std::unique_ptr<Backend> backend, int64_t steps) {
  TinyRun run(spec, std::move(backend));
  Session& session = *run.session;
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  Trainer trainer(session, *run.programs.step);
  Curve curve;
  const PersistentInfo& rate = session.state()[session.state().require(step::learning_rate)];
  const std::vector<double> rates(static_cast<size_t>(elements_of(rate.shape)),
                                  spec.optimizer->learning_rate);
  for (int64_t s = 1; s <= steps; ++s) {
    const StepResult result = trainer.step_now({batch.part(0, spec.rows)}, s, rates);
    curve.losses.push_back(result.loss);
    curve.norms.push_back(result.gradient_norm);
  }
  for (const int32_t p : session.state().trainable()) {
    const std::string name = session.state()[p].name;
    curve.weights[name] = host_values(session, name);
  }
  return curve;
}

class CudaModel : public testing::TestWithParam<Variant> {};

// Some 30 nodes deep, sums of 14 terms: hundreds of roundings of 1e-16 in double, of 6e-8 in float, and room
// for a softmax to multiply them by ten.
TEST_P(CudaModel, GradientsAreTheCpus) {
  LETHE_NEEDS_GPU();
  for (const auto& [dtype, bound] : {std::pair{DType::f64, 1e-10}, std::pair{DType::f32, 1e-4}}) {
    const ProgramSpec spec = spec_of(GetParam(), dtype);
    const Found expected = gradients_of(spec, make_cpu_backend({.threads = 2}));
    const Found got = gradients_of(spec, make_cuda_backend());
    ASSERT_EQ(got.size(), expected.size());
    double worst = 0;
    for (const auto& [name, values] : expected) {
      const double error = distance(got.at(name), values);
      worst = std::max(worst, error);
      EXPECT_LE(error, bound) << name_of(dtype) << " " << name;
    }
    RecordProperty(std::string(name_of(dtype)), fmt::format("{:.3g}", worst));
  }
}

// bf16 rounds some 30 times on the way to a gradient, 2^-9 each; both sides round alike but near ties.
TEST_P(CudaModel, GradientsInBf16StayNearThoseInDouble) {
  LETHE_NEEDS_GPU();
  const Found exact = gradients_of(spec_of(GetParam(), DType::f64), make_cpu_backend({.threads = 2}));
  const Found cpu = gradients_of(spec_of(GetParam(), DType::bf16), make_cpu_backend({.threads = 2}));
  const Found cuda = gradients_of(spec_of(GetParam(), DType::bf16), make_cuda_backend());
  // No worse than the CPU's own distance from the truth, but for what one more rounding in each place adds.
  for (const auto& [name, values] : exact) {
    EXPECT_LE(distance(cuda.at(name), values), 1.5 * distance(cpu.at(name), values) + 30 * 0x1p-9) << name;
  }
}

// Rounding differences grow with the steps; a Lion step's sign may turn where an average is nearly zero.
TEST_P(CudaModel, TrainsAlongTheCpusCurve) {
  LETHE_NEEDS_GPU();
  const ProgramSpec spec = spec_of(GetParam(), DType::f64);
  const Curve expected = train(spec, make_cpu_backend({.threads = 2}), 20),
              got = train(spec, make_cuda_backend(), 20);
  for (size_t s = 0; s < 20; ++s) {
    EXPECT_NEAR(got.losses[s], expected.losses[s], 1e-8 * expected.losses[s]) << "step " << s + 1;
    EXPECT_NEAR(got.norms[s], expected.norms[s], 1e-6 * expected.norms[s]) << "step " << s + 1;
  }
  const ProgramSpec narrow = spec_of(GetParam(), DType::bf16);
  const Curve rough = train(narrow, make_cpu_backend({.threads = 2}), 20),
              on_gpu = train(narrow, make_cuda_backend(), 20);
  for (size_t s = 0; s < 20; ++s)
    EXPECT_NEAR(on_gpu.losses[s], rough.losses[s], 0.05) << "bf16, step " << s + 1;
  EXPECT_LT(expected.losses.back(), expected.losses.front());
}

TEST_P(CudaModel, HasTheSameBitsAgainAndInAGraph) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const ProgramSpec spec = spec_of(GetParam(), dtype);
    const Curve eager = train(spec, make_cuda_backend({.graph = false}), 5);
    EXPECT_EQ(eager, train(spec, make_cuda_backend({.graph = false}), 5)) << name_of(dtype);
    EXPECT_EQ(eager, train(spec, make_cuda_backend({.graph = true}), 5)) << name_of(dtype);
  }
}

TEST_P(CudaModel, RecomputationDoesNotChangeABit) {
  LETHE_NEEDS_GPU();
  Variant kept = GetParam();
  kept.recompute = Recompute::none;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    EXPECT_EQ(gradients_of(spec_of(kept, dtype), make_cuda_backend()),
              gradients_of(spec_of(GetParam(), dtype), make_cuda_backend()))
        << name_of(dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Variants, CudaModel,
    testing::Values(Variant{"full"}, Variant{"full_tied", true},
                    Variant{"full_lion", false, 0, 0, Recompute::none, "lion"},
                    Variant{"full_block", false, 0, 0, Recompute::block}, Variant{"lora", false, 3},
                    Variant{"dora", false, 3, 0, Recompute::none, "adamw", true},
                    Variant{"dora_block", true, 3, 0, Recompute::block, "adamw", true},
                    Variant{"attention_dropout_block", false, 0, 0, Recompute::block, "adamw", false, 0.2},
                    Variant{"lora_dropout_mlp", true, 3, 0.3, Recompute::mlp}),
    [](const auto& v) { return v.param.name; });

TEST(CudaBackend, SaysWhenThereIsNone) {
  if (cuda_is_available()) {
    EXPECT_EQ(make_backend({.device = "auto"})->device().kind, DeviceKind::cuda);
    EXPECT_EQ(make_backend({.device = "cuda"})->device().kind, DeviceKind::cuda);
  } else {
    EXPECT_EQ(make_backend({.device = "auto"})->device().kind, DeviceKind::cpu);
    EXPECT_THROW(make_backend({.device = "cuda"}), ConfigError);
    EXPECT_THROW(make_cuda_backend(), DeviceError);
  }
  EXPECT_EQ(make_backend({.device = "cpu"})->device().kind, DeviceKind::cpu);
  EXPECT_THROW(make_backend({.device = "gpu"}), ConfigError);
}

// The plan of a GPU's programs is known without one, and it is another than the CPU's.
TEST(CudaBackend, AllocatesWhatAnyMachinePlans) {
  const ProgramSpec spec = tiny_spec(DType::bf16);
  const Programs programs = record_programs(spec);
  const Plan plan = make_plan(*programs.state, programs.views(), {.kind = DeviceKind::cuda});
  EXPECT_GT(plan.arena_bytes, plan.persistent_bytes);
  LETHE_NEEDS_GPU();
  EXPECT_EQ(TinyRun(spec, make_cuda_backend()).session->plan().arena_bytes, plan.arena_bytes);
}

TEST(CudaBackend, RefusesAnArenaTheGpuHasNotGot) {
  LETHE_NEEDS_GPU();
  const auto backend = make_cuda_backend();
  EXPECT_THROW(backend->allocate(int64_t{1} << 50), MemoryError);
  EXPECT_NO_THROW(backend->allocate(0));
}

}  // namespace
}  // namespace lethe::test
