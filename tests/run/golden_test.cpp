// A real pretrained model against reference numbers computed outside, in float64.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/run/inference.h"
#include "tools/run/sampling.h"

namespace lethe::test {
namespace {

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";

class Stories260K : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel + "/golden.json"))
      GTEST_SKIP() << "no ../shared/data beside the checkout";
    golden_ = nlohmann::json::parse(std::ifstream(kModel + "/golden.json"));
  }
  nlohmann::json golden_;
};

std::vector<double> logits_after(InferenceModel& model, const std::vector<int32_t>& ids) {
  PlainBatch batch(1, model.spec().tokens);
  batch.set_row(0, model.spec().tokens, ids, {});
  set_batch(model.session(), batch.view());
  const Buffer logits = model.logits();
  std::vector<double> row;
  dispatch_float(logits.dtype, "logits", [&]<class T>() {
    const T* values = logits.as<const T>().row(static_cast<int64_t>(ids.size()) - 1);
    for (int64_t i = 0; i < logits.width; ++i)
      row.push_back(static_cast<double>(static_cast<compute_t<T>>(values[i])));
  });
  return row;
}

TEST_F(Stories260K, LastPositionLogits) {
  const auto ids = golden_.at("prompt_ids").get<std::vector<int32_t>>();
  const auto expected = golden_.at("last_position_logits").get<std::vector<double>>();
  for (const char* precision : {"float32", "float64"}) {
    InferenceModel model(kModel, {.precision = precision, .tokens = 16});
    const std::vector<double> got = logits_after(model, ids);
    ASSERT_EQ(got.size(), expected.size());
    // 1e-4 for float32: logits of size 10 after five layers, each with sums of up to 172 products (172 * 6e-8
    // * 10 = 1e-4 at worst). The reference itself is rounded to float, 1e-6 at this size.
    const double bound = std::string(precision) == "float64" ? 2e-6 : 1e-4;
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], bound) << precision << " logit " << i;
  }
}

std::vector<int32_t> greedy(InferenceModel& model, std::vector<int32_t> ids, size_t count) {
  std::vector<int32_t> made;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<double> logits = logits_after(model, ids);
    const auto best = static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
    made.push_back(best);
    ids.push_back(best);
  }
  return made;
}

TEST_F(Stories260K, GreedyTokens) {
  InferenceModel model(kModel, {.tokens = 256});
  const auto after_prompt = golden_.at("greedy32_from_prompt").get<std::vector<int32_t>>();
  EXPECT_EQ(greedy(model, golden_.at("prompt_ids").get<std::vector<int32_t>>(), after_prompt.size()),
            after_prompt);
  const auto story = golden_.at("greedy200_from_bos_ids").get<std::vector<int32_t>>();
  EXPECT_EQ(greedy(model, {story[0]}, story.size() - 1),
            std::vector<int32_t>(story.begin() + 1, story.end()));
}

TEST_F(Stories260K, Loss) {
  const auto ids = golden_.at("loss_ids").get<std::vector<int32_t>>();
  InferenceModel model(kModel, {.tokens = static_cast<int64_t>(ids.size())});
  PlainBatch batch(1, model.spec().tokens);
  std::vector<int32_t> labels(ids.begin() + 1, ids.end());
  labels.push_back(ignored_label);
  batch.set_row(0, model.spec().tokens, ids, labels);
  set_batch(model.session(), batch.view());
  model.logits();
  const auto losses = model.losses().as<const float>();
  double sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) sum += losses.data[i];
  EXPECT_NEAR(sum / static_cast<double>(ids.size() - 1), golden_.at("mean_nll").get<double>(), 1e-5);
}

}  // namespace
}  // namespace lethe::test
