// KL(base || model) beside the formula on both models' own logits, and the weights as they were.
#include "tools/run/base_divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/host_values.h"
#include "engine/rng.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

constexpr int64_t kRows = 2, kTokens = 5;

class FewRows final : public Rows {
 public:
  explicit FewRows(int64_t vocab) : vocab_(vocab) { counts_.rows = 3; }
  int64_t tokens_per_row() const override { return kTokens; }
  const RowCounts& counts() const override { return counts_; }
  int64_t fill(int64_t row, const RowView& out) const override {
    for (int64_t t = 0; t < kTokens; ++t) {
      const auto i = static_cast<size_t>(t);
      out.ids[i] = static_cast<int32_t>((row * 7 + t * 3) % vocab_);
      out.labels[i] = t == 1 ? ignored_label : static_cast<int32_t>((row + t) % vocab_);
      out.positions[i] = static_cast<int32_t>(t);
      out.document_start[i] = 0;
    }
    return kTokens;
  }

 private:
  int64_t vocab_;
  RowCounts counts_;
};

// All trained values, a little further on.
void move_on(Session& session) {
  for (const int32_t p : session.state().trainable()) {
    const std::string& name = session.state()[p].name;
    std::vector<double> values = host_values(session, name);
    for (size_t i = 0; i < values.size(); ++i) values[i] += 0.1 * Rng(5, static_cast<uint32_t>(p)).normal(i);
    set_host_values(session, name, values);
  }
}

std::map<std::string, std::vector<double>> trained(const Session& session) {
  std::map<std::string, std::vector<double>> found;
  for (const int32_t p : session.state().trainable())
    found[session.state()[p].name] = host_values(session, session.state()[p].name);
  return found;
}

// Logits of all batches, one behind another.
std::vector<double> logits_of(TinyRun& run, const Domain& domain) {
  std::vector<double> found;
  const EvaluationLoader loader(domain.rows, kRows);
  for (int64_t b = 0; b < loader.batches(); ++b) {
    const Batch batch = loader.batch(b);
    set_batch(*run.session, {batch.ids, batch.labels, batch.positions, batch.document_start, 0, 1});
    run.session->run(run.programs.evaluate);
    const auto values = read_values(*run.session, run.programs.evaluate, run.programs.logits);
    found.insert(found.end(), values.begin(), values.end());
  }
  return found;
}

double log_sum(const double* x, int64_t width) {
  double sum = 0;
  for (int64_t j = 0; j < width; ++j) sum += std::exp(x[j]);
  return std::log(sum);
}

void expect_divergence(ProgramSpec spec) {
  spec.rows = kRows;
  spec.tokens = kTokens;
  spec.gradients = true;
  spec.divergence = true;
  TinyRun run(spec, 2, true);
  const int64_t vocab = spec.config.vocab_size;
  const Domain prose{"prose", std::make_shared<FewRows>(vocab)};
  const BaseDivergence divergence(*run.session, *run.programs.divergence);
  const auto measure = [&] { return divergence.measure(*run.session, kRows, prose, 100, 0); };
  EXPECT_NEAR(measure().value, 0, 1e-14);
  const std::vector<double> base = logits_of(run, prose);
  move_on(*run.session);
  const auto before = trained(*run.session);
  const std::vector<double> tuned = logits_of(run, prose);

  double sum = 0;
  int64_t tokens = 0;
  const EvaluationLoader loader(prose.rows, kRows);
  for (int64_t b = 0; b < loader.batches(); ++b) {
    const Batch batch = loader.batch(b);
    for (size_t t = 0; t < batch.labels.size(); ++t) {
      if (batch.labels[t] == ignored_label) continue;
      const auto at = static_cast<size_t>((b * kRows * kTokens + static_cast<int64_t>(t)) * vocab);
      const double p = log_sum(&base[at], vocab), q = log_sum(&tuned[at], vocab);
      for (size_t j = 0; j < static_cast<size_t>(vocab); ++j)
        sum += std::exp(base[at + j] - p) * (base[at + j] - p - tuned[at + j] + q);
      ++tokens;
    }
  }
  const Measure found = measure();
  EXPECT_EQ(found.name, "divergence of prose");
  EXPECT_EQ(found.count, tokens);
  EXPECT_GT(found.value, 1e-4);
  // Both sides round some 100 logits below 10 of double precision.
  EXPECT_NEAR(found.value, sum / static_cast<double>(tokens), 1e-12);
  EXPECT_EQ(trained(*run.session), before) << "the trained values must be back";
}

TEST(BaseDivergence, OfEveryKindOfTraining) {
  expect_divergence(tiny_spec(DType::f64));
  ProgramSpec lora = tiny_spec(DType::f64);
  lora.lora = tiny_lora(3, 0);
  expect_divergence(lora);
  lora.lora->use_dora = true;
  expect_divergence(lora);
}

}  // namespace
}  // namespace lethe::test
