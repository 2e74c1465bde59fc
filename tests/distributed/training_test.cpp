// Many ranks against one: the same losses and weights but for the order of the sums, and the same bits again.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "engine/checkpoint.h"
#include "engine/host_values.h"
#include "engine/step_inputs.h"
#include "tests/distributed/shared.h"
#include "tests/run/small_run.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

struct Trained {
  std::unique_ptr<TrainingRun> run;
  std::vector<StepRecord> steps;
  std::vector<Evaluation> evaluations;
};

Trained trained(const TrainOptions& options, const std::shared_ptr<Comm>& comm) {
  Trained made{std::make_unique<TrainingRun>(prepare_run(options, comm)), {}, {}};
  made.run->train(
      {.on_step = [&](const StepRecord& r) { made.steps.push_back(r); },
       .on_evaluation = [&](const EvaluationRecord& r) { made.evaluations.push_back(r.evaluation); }});
  return made;
}

// The largest difference of a tensor's elements over the largest element, over all tensors that are saved.
double weights_apart(Session& a, Session& b) {
  double most = 0;
  for (const int32_t t : tensors_to_save(a.state())) {
    if (!is_float(a.state()[t].dtype)) continue;
    const std::string& name = a.state()[t].name;
    const std::vector<double> x = host_values(a, name), y = host_values(b, name);
    double difference = 0, size = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      difference = std::max(difference, std::abs(x[i] - y[i]));
      size = std::max(size, std::abs(x[i]));
    }
    if (size > 0) most = std::max(most, difference / size);
  }
  return most;
}

double losses_apart(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.steps.size(), b.steps.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.steps.size(), b.steps.size()); ++i) {
    const auto apart = [&](double x, double y) { most = std::max(most, std::abs(x - y) / std::abs(x)); };
    apart(a.steps[i].result.loss, b.steps[i].result.loss);
    apart(a.steps[i].result.gradient_norm, b.steps[i].result.gradient_norm);
    EXPECT_EQ(a.steps[i].targets, b.steps[i].targets);
    EXPECT_EQ(a.steps[i].tokens, b.steps[i].tokens);
  }
  return most;
}

struct Case {
  const char* name;
  std::vector<std::string> assignments;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

// 4 micro-batches are one for each of four ranks and unequal shares for three; 7 are unequal for 2, 3 and 4.
const Case kCases[] = {
    {"full", {"train.batch_size=8", "train.micro_batch_size=2"}},
    {"full, unequal shares",
     {"train.batch_size=7", "train.micro_batch_size=1", "optimizer.weight_decay=0.1"}},
    {"lora",
     {"method=lora", "lora.rank=3", "lora.dropout=0.2", "train.attention_dropout=0.1", "train.batch_size=7",
      "train.micro_batch_size=1"}},
    {"lion",
     {"optimizer.name=lion", "train.batch_size=8", "train.micro_batch_size=2",
      "optimizer.learning_rate=0.001"}},
};

class Ranks : public testing::TestWithParam<Case> {
 protected:
  TrainOptions options(const std::string& precision) const {
    std::vector<std::string> assignments = GetParam().assignments;
    assignments.push_back("precision=" + precision);
    TrainOptions made = small_options(folder_.path(), assignments);
    made.output.clear();
    return made;
  }

 private:
  Folder folder_;
};

TEST_P(Ranks, InDoubleAgreeWithOneTo1e12) {
  const TrainOptions o = options("float64");
  Trained one = trained(o, nullptr), many = trained(o, shared_ranks());
  EXPECT_LT(losses_apart(one, many), 1e-12);
  EXPECT_LT(weights_apart(one.run->session(), many.run->session()), 1e-12);
}

// Against double, many ranks round as one does: their errors are sums of as many roundings in another order.
TEST_P(Ranks, InFloatAreAsFarFromDoubleAsOneIs) {
  Trained exact = trained(options("float64"), nullptr), one = trained(options("float32"), nullptr),
          many = trained(options("float32"), shared_ranks());
  EXPECT_LT(losses_apart(exact, many), 4 * losses_apart(exact, one));
}

TEST_P(Ranks, GiveTheSameBitsAgain) {
  const TrainOptions o = options("bfloat16");
  Trained once = trained(o, shared_ranks()), again = trained(o, shared_ranks());
  EXPECT_EQ(differing_tensors(once.run->session(), again.run->session()), std::vector<std::string>{});
  for (size_t i = 0; i < once.steps.size(); ++i) {
    EXPECT_EQ(once.steps[i].result.loss, again.steps[i].result.loss);
    EXPECT_EQ(once.steps[i].result.gradient_norm, again.steps[i].result.gradient_norm);
  }
}

TEST_P(Ranks, AllHoldTheSameBits) {
  Trained made = trained(options("float32"), shared_ranks());
  std::string bytes;
  const Session& session = made.run->session();
  for (const int32_t t : tensors_to_save(session.state())) {
    for (const double v : host_values(session, session.state()[t].name))
      bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  for (const std::string& other : gather_texts(ranks(), bytes)) EXPECT_TRUE(other == bytes);
}

TEST_P(Ranks, EvaluateToTheBitsOfOne) {
  const TrainOptions o = options("float32");
  TrainingRun one(prepare_run(o)), many(prepare_run(o, shared_ranks()));
  const std::vector<Evaluation> a = one.evaluate_all(), b = many.evaluate_all();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].loss, b[i].loss);
    EXPECT_EQ(a[i].accuracy, b[i].accuracy);
    EXPECT_EQ(a[i].standard_error, b[i].standard_error);
    EXPECT_EQ(a[i].targets, b[i].targets);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Ranks, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::to_string(one.index); });

// Every step, the last rank begins late: the others wait for it in their sums, it computes the longer.
TEST(Seconds, TellWhoWaitsForSumsAndWhoIsWaitedFor) {
  constexpr auto late = std::chrono::milliseconds(80);
  const bool is_late = ranks().world() > 1 && ranks().rank() == ranks().world() - 1;
  const Folder folder;
  TrainOptions options =
      small_options(folder.path(), {"train.batch_size=8", "train.eval_every=0", "train.save_every=0"});
  options.output.clear();
  TrainingRun run(prepare_run(options, shared_ranks()));
  std::vector<StepRecord> steps;
  run.train({.before_step =
                 [&](int64_t) {
                   if (is_late) std::this_thread::sleep_for(late);
                 },
             .on_step = [&](const StepRecord& r) { steps.push_back(r); }});
  ASSERT_EQ(steps.size(), 8u);
  for (const StepRecord& r : steps) {
    if (ranks().world() == 1) {
      EXPECT_EQ(r.communication_seconds, 0);
    }
    if (r.step == 1) continue;  // whose time begins behind the sleep
    EXPECT_EQ(r.result.waited_seconds, r.communication_seconds);
    // Beside the sleep the ranks' own work differs by what the machine gives each of them.
    constexpr double most = 0.08 * 0.75;
    if (is_late) {
      EXPECT_GT(r.compute_seconds, most) << r.step;
    } else if (ranks().world() > 1) {
      EXPECT_GT(r.communication_seconds, most) << r.step;
    }
  }
}

// A weight that is no number on one rank: all learn of it in the same step, and which rank it was.
TEST(Diverging, IsNoticedByAllInTheSameStepAndTheRankIsKnown) {
  const bool is_ill = ranks().rank() == ranks().world() - 1;
  const Folder folder;
  TrainOptions options =
      small_options(folder.path(), {"train.batch_size=8", "train.eval_every=0", "train.save_every=0"});
  options.output.clear();
  TrainingRun run(prepare_run(options, shared_ranks()));
  const auto fall_ill = [&](int64_t step) {
    if (step != 4 || !is_ill) return;
    const std::string name = "model.layers.1.mlp.down_proj.weight";
    std::vector<double> values = host_values(run.session(), name);
    values[7] = std::numeric_limits<double>::quiet_NaN();
    set_host_values(run.session(), name, values);
  };
  expect_parts(message_of<DivergedError>([&] { run.train({.before_step = fall_ill}); }),
               {"step 4: loss nan"});
  EXPECT_EQ(std::isfinite(run.own_loss_sum()), !is_ill);
}

// Rows of the tiny batch have the fewer targets the later they come: the ranks' shares are unequal.
TEST(UnequalTargets, AreDividedByTheirNumberInTheWholeStep) {
  for (const bool lora : {false, true}) {
    ProgramSpec spec = tiny_spec(DType::f64);
    if (lora) spec.lora = tiny_lora(2, 0.3);
    constexpr int64_t rows = 5;
    spec.rows = 1;
    spec.accumulate = ranks().world() < rows;
    const TinyBatch batch(rows, spec.tokens, spec.config.vocab_size);
    int64_t targets = 0;
    std::vector<MicroBatch> all;
    for (int64_t r = 0; r < rows; ++r) all.push_back(batch.part(r, 1));
    for (const MicroBatch& m : all) targets += m.targets;
    const auto run_of = [&](const std::shared_ptr<Comm>& comm) {
      ProgramSpec own = spec;
      own.distribution.comm = comm;
      if (!comm) own.accumulate = true;
      auto run = std::make_unique<TinyRun>(own, 1);
      if (lora) randomise_lora_b(*run->session, 5);
      return run;
    };
    const auto one = run_of(nullptr), many = run_of(shared_ranks());
    const Share share = share_of(rows, ranks().rank(), ranks().world());
    std::vector<MicroBatch> mine(all.begin() + share.first, all.begin() + share.first + share.count);
    // The ranks sum at the same places: one with fewer rows has a last one without a target.
    const std::vector<int32_t> ignored(static_cast<size_t>(spec.tokens), ignored_label);
    if (share.count < share_of(rows, ranks().world() - 1, ranks().world()).count) {
      mine.push_back(mine.back());
      mine.back().labels = ignored;
    }
    Trainer trainer(*one->session, *one->programs.step), shared(*many->session, *many->programs.step);
    const State& state = one->session->state();
    const std::vector<double> rates(
        static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), 1e-3);
    for (int64_t s = 1; s <= 3; ++s) {
      const StepResult expected = trainer.step_now(all, s, rates);
      shared.step(mine, s, rates, targets);
      const StepResult found = *shared.finish();
      EXPECT_NEAR(found.loss / expected.loss, 1, 1e-12);
      EXPECT_NEAR(found.gradient_norm / expected.gradient_norm, 1, 1e-12);
      EXPECT_EQ(found.targets, expected.targets);
      EXPECT_EQ(found.parameters_moved, expected.parameters_moved);
    }
    EXPECT_LT(weights_apart(*one->session, *many->session), 1e-12);
  }
}

TEST(Collectives, StandBehindWhatTheySumAndAreAbsentInOneProcess) {
  ProgramSpec spec = tiny_spec(DType::bf16);
  spec.distribution.comm = shared_ranks();
  spec.distribution.bucket_bytes = 1;
  const TinyRun run(spec, 1);
  const State& state = run.session->state();
  const Tape& tape = run.session->program(run.programs.step->first);
  std::set<std::string> summed;
  int nodes = 0;
  for (size_t n = 0; n < tape.nodes().size(); ++n) {
    const Node& node = tape.nodes()[n];
    if (node.stream == 0) continue;
    ++nodes;
    EXPECT_EQ(node.op->name(), "all_reduce");
    EXPECT_EQ(node.phase, Phase::backward);
    for (const Output& o : node.outputs) {
      EXPECT_TRUE(summed.insert(tape.info(o.var).path).second);
      for (size_t later = n + 1; later < tape.nodes().size(); ++later) {
        for (const Output& written : tape.nodes()[later].outputs) EXPECT_NE(tape.root(written.var), o.var);
      }
    }
  }
  std::set<std::string> gradients;
  for (const int32_t p : state.trainable()) gradients.insert(state[state.find_gradient(p)].name);
  EXPECT_EQ(summed, ranks().world() == 1 ? std::set<std::string>{} : gradients);
  // A bucket for each layer and each weight outside of them, not one for all.
  if (ranks().world() > 1) {
    EXPECT_GT(nodes, static_cast<int>(spec.config.num_hidden_layers));
  }
}

}  // namespace
}  // namespace lethe::test
