// What a run takes beside its plan.
#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>

#include "engine/checkpoint.h"
#include "engine/session.h"
#include "model/weights/save.h"
#include "tests/run/small_run.h"
#include "tests/run/tiny_model.h"
#include "tools/doctor/machine.h"
#include "tools/run/memory_budget.h"

namespace lethe::test {
namespace {

// A field of /proc/self/status in bytes.
int64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return -1;
}

// Bytes by which the resident memory rose above where it stood, at its highest while `action` ran; -1 where
// the kernel does not let the high-water mark be set back, or memory is not what the program asks for.
template <class Action>
int64_t peak_growth(const Action& action) {
#ifdef __SANITIZE_ADDRESS__
  return -1;  // the sanitizer keeps what is freed
#endif
  ::malloc_trim(0);  // freed memory that malloc still holds would hide what is taken again
  const int64_t before = status_bytes("VmRSS");
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  if (!clear || status_bytes("VmHWM") > before + (1 << 20)) return -1;
  action();
  return status_bytes("VmHWM") - before;
}

// 17 million parameters: 200 MB of weights and moments.
ProgramSpec large_spec() {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.config.vocab_size = 4096;
  spec.config.hidden_size = 512;
  spec.config.intermediate_size = 1376;
  spec.config.num_hidden_layers = 4;
  spec.config.num_attention_heads = spec.config.num_key_value_heads = 8;
  spec.config.head_dim = 64;
  spec.rows = 2;
  spec.tokens = 24;
  return spec;
}

TEST(Memory, SavingTakesNoMoreThanTheWritersBuffer) {
  const Folder folder;
  const ProgramSpec spec = large_spec();
  TinyRun run(spec, 2);
  const std::vector<int32_t> tensors = tensors_to_save(run.session->state());
  ASSERT_GT(checkpoint_bytes(run.session->state(), tensors), 200'000'000);
  // The buffer is 4 MiB (engine/files/safetensors_writer.cpp); as much again for names, header and the
  // allocator. The largest tensor is 11 MB, so a copy of even one of them would be seen.
  constexpr int64_t bound = 8 << 20;
  const int64_t checkpoint =
      peak_growth([&] { save_checkpoint(folder / "checkpoints", 1, *run.session, tensors, "{}", 1); });
  if (checkpoint < 0) GTEST_SKIP() << "the peak of memory cannot be measured here";
  EXPECT_LT(checkpoint, bound);
  EXPECT_LT(peak_growth([&] { save_model(folder / "model", *run.session, spec.config); }), bound);
  const int64_t copy = peak_growth([] {
    std::vector<char> bytes(20'000'000);
    for (size_t i = 0; i < bytes.size(); i += 4096) static_cast<volatile char*>(bytes.data())[i] = 1;
  });
  EXPECT_GT(copy, 2 * bound) << "the measure itself must see what it is to rule out";
}

TEST(Memory, EvaluatingTakesNoMoreThanAFewBatches) {
  const Folder folder;
  const ProgramSpec spec = large_spec();
  TinyRun run(spec, 2);
  const RunData data = prepare_data(small_options(folder.path()));
  const auto evaluate = [&] {
    const Evaluation e = evaluate_domain(*run.session, run.programs.evaluate, run.programs.losses, spec.rows,
                                         data.domains[0], 3);
    EXPECT_GT(e.targets, 100);
  };
  evaluate();  // OpenBLAS keeps the buffer of its first product
  const int64_t growth = peak_growth(evaluate);
  if (growth < 0) GTEST_SKIP() << "the peak of memory cannot be measured here";
  // Batches of 48 tokens take kilobytes; the logits of one, 48 x 4096 x 4, would take 0.8 MB and lie in the
  // plan.
  EXPECT_LT(growth, 1 << 19);
}

TEST(Memory, NoBudgetStandsForTheMachines) {
  EXPECT_EQ(memory_budget(0, Device{}), find_memory().total);
  const Device gpu{.kind = DeviceKind::cuda};
  EXPECT_EQ(memory_budget(0, gpu), -1);
  EXPECT_EQ(memory_budget(0, gpu, 1000), 1000);
  EXPECT_EQ(memory_budget(1e-6, gpu, 5000), 1000);
  EXPECT_EQ(memory_budget(1e-6, gpu, 500), 500);
  EXPECT_GT(memory_budget(0, Device{}), 0);
  EXPECT_EQ(memory_budget(1.5, Device{}), 1'500'000'000);
}

TEST(Memory, RefusedBeforeAnythingIsAllocated) {
  const Folder folder;
  PreparedRun prepared = prepare_run(small_options(folder.path(), {"memory_budget_gb=0.0001"}));
  expect_parts(message_of<MemoryError>([&] { TrainingRun run(std::move(prepared)); }),
               {"does not fit", "of the budget's 100000"});
}

}  // namespace
}  // namespace lethe::test
