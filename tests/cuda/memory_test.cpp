// The GPU's memory holds the planned bytes, and next to nothing else.
#include <cuda_runtime_api.h>

#include "engine/step_inputs.h"
#include "tests/cuda/compare.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

int64_t free_bytes() {
  size_t free = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  return static_cast<int64_t>(free);
}

void train_two_steps(TinyRun& run, const ProgramSpec& spec) {
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  Trainer trainer(*run.session, *run.programs.step);
  const PersistentInfo& rate = run.session->state()[run.session->state().require(step::learning_rate)];
  const std::vector<double> rates(static_cast<size_t>(elements_of(rate.shape)), 1e-3);
  for (int64_t s = 1; s <= 2; ++s) trainer.step({batch.part(0, spec.rows)}, s, rates);
  run.session->backend().wait();
}

// What the driver and the libraries take once per process is there before the first reading: a small run of
// the same kinds of kernels. Kernels that the large one loads beside them are within the hundredth, some tens
// of MB of some GB.
TEST(CudaMemory, AfterTwoStepsIsThePlansToAHundredth) {
  LETHE_NEEDS_GPU();
  ProgramSpec spec = tiny_spec(DType::bf16, true);
  spec.config.hidden_size = 512;
  spec.config.intermediate_size = 1408;
  spec.config.num_attention_heads = 8;
  spec.config.num_key_value_heads = 4;
  spec.config.head_dim = 64;
  spec.config.vocab_size = 32000;
  spec.config.max_position_embeddings = 2048;
  spec.tokens = 256;
  {
    TinyRun warm(spec, make_cuda_backend());
    train_two_steps(warm, spec);
  }
  spec.rows = 32;
  spec.tokens = 2048;
  const int64_t before = free_bytes();
  TinyRun run(spec, make_cuda_backend());
  train_two_steps(run, spec);
  const int64_t used = before - free_bytes(), planned = run.session->plan().arena_bytes;
  ASSERT_GT(planned, int64_t{4} << 30);
  EXPECT_LE(std::abs(used - planned), planned / 100) << used << " bytes used, " << planned << " planned";
}

}  // namespace
}  // namespace lethe::test
