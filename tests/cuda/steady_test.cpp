// A training step in its stride on the GPU: what its trace shows, and results that come one step late.
#include <algorithm>

#include "engine/backend/cuda_trace.h"
#include "engine/error.h"
#include "engine/step_inputs.h"
#include "tests/cuda/compare.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

std::vector<double> rates_of(const Session& session) {
  const State& state = session.state();
  return std::vector<double>(
      static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), 1e-2);
}

// Results of `steps` steps of alternating batches, each taken as late as it comes or waited for.
std::vector<StepResult> results_of(const ProgramSpec& spec, const CudaOptions& options, bool late,
                                   int64_t steps) {
  TinyRun run(spec, make_cuda_backend(options));
  TinyBatch even(spec.rows, spec.tokens, spec.config.vocab_size), odd = even;
  std::ranges::reverse(odd.ids);
  Trainer trainer(*run.session, *run.programs.step);
  const std::vector<double> rates = rates_of(*run.session);
  std::vector<StepResult> results;
  for (int64_t s = 1; s <= steps; ++s) {
    const MicroBatch batch = (s % 2 ? odd : even).part(0, spec.rows);
    if (!late) {
      results.push_back(trainer.step_now({batch}, s, rates));
    } else if (const auto result = trainer.step({batch}, s, rates)) {
      results.push_back(*result);
    }
  }
  if (late) results.push_back(trainer.finish().value());
  return results;
}

TEST(CudaSteadyState, LateResultsAreTheSameBitsInAGraphAndOutside) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const ProgramSpec spec = tiny_spec(dtype);
    const std::vector<StepResult> expected = results_of(spec, {.graph = false}, false, 8);
    for (const bool graph : {false, true}) {
      const std::vector<StepResult> got = results_of(spec, {.graph = graph}, true, 8);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].step, static_cast<int64_t>(i) + 1);
        EXPECT_EQ(got[i].loss, expected[i].loss) << "step " << i + 1;
        EXPECT_EQ(got[i].gradient_norm, expected[i].gradient_norm) << "step " << i + 1;
        EXPECT_EQ(got[i].parameters_moved, expected[i].parameters_moved) << "step " << i + 1;
      }
    }
  }
}

TEST(CudaSteadyState, ATraceShowsNoAllocationNoSynchronisationAndNoStrayUpload) {
  LETHE_NEEDS_GPU();
  std::shared_ptr<CudaTrace> trace;
  try {
    trace = CudaTrace::load();
  } catch (const DeviceError& e) {
    GTEST_SKIP() << e.what();
  }
  const ProgramSpec spec = tiny_spec(DType::bf16);
  for (const bool graph : {true, false}) {
    TinyRun run(spec, make_cuda_backend({.graph = graph, .trace = trace}));
    const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
    Trainer trainer(*run.session, *run.programs.step);
    const std::vector<double> rates = rates_of(*run.session);
    for (int64_t s = 1; s <= 6; ++s) {
      if (s == 4) trace->start();
      trainer.step({batch.part(0, spec.rows)}, s, rates);
    }
    trainer.finish();
    trace->stop();
    const Timeline timeline = trace->take();
    const TimelineSummary sum = summarise(timeline);
    EXPECT_EQ(sum.steps, 3);
    EXPECT_EQ(sum.allocations, 0);
    EXPECT_EQ(sum.synchronisations, 0);
    EXPECT_LE(sum.event_waits, 4) << "the results of steps 3 to 6";
    EXPECT_EQ(sum.stray_uploads, 0);
    EXPECT_EQ(timeline.dropped, 0);
    int64_t kernels = 0, named = 0;
    for (const TimelineRecord& r : timeline.records) {
      if (r.kind != TimelineRecord::Kind::kernel) continue;
      ++kernels;
      named += !r.path.empty();
    }
    EXPECT_GT(kernels, 100);
    // Kernels of step 3 may still run when the trace starts; their launch lies before it.
    EXPECT_GE(named, kernels * 9 / 10) << (graph ? "graph" : "eager");
  }
}

}  // namespace
}  // namespace lethe::test
