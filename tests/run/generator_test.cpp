// Texts grown over kept keys and values against the whole window computed anew for each token.
#include "tools/run/generator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/run/inference.h"
#include "tools/run/text_stream.h"

namespace lethe::test {
namespace {

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";

class Stories : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel + "/golden.json"))
      GTEST_SKIP() << "no ../shared/data beside the checkout";
    golden_ = nlohmann::json::parse(std::ifstream(kModel + "/golden.json"));
    prompt_ = golden_.at("prompt_ids").get<std::vector<int32_t>>();
    story_ = golden_.at("greedy200_from_bos_ids").get<std::vector<int32_t>>();
  }

  nlohmann::json golden_;
  std::vector<int32_t> prompt_, story_;
};

std::vector<std::vector<int32_t>> ids_of(const std::vector<Generated>& made) {
  std::vector<std::vector<int32_t>> ids;
  for (const Generated& g : made) ids.push_back(g.ids);
  return ids;
}

TEST_F(Stories, GreedyTokensAreThoseOfTheWholeWindow) {
  // Prompts read whole, or cut into pieces of 3.
  for (const int64_t piece : {128, 3}) {
    Generator generator(kModel, {.capacity = 256, .prompt_tokens = piece});
    const auto after_prompt = golden_.at("greedy32_from_prompt").get<std::vector<int32_t>>();
    const auto made = generator.run({{.prompt = prompt_, .max_new_tokens = std::ssize(after_prompt)},
                                     {.prompt = {story_[0]}, .max_new_tokens = std::ssize(story_) - 1}});
    EXPECT_EQ(made[0].ids, after_prompt);
    EXPECT_EQ(made[1].ids, std::vector<int32_t>(story_.begin() + 1, story_.end()));
  }
}

// More requests than slots, of unequal length, drawn: whatever grows beside a sample, it is the same.
TEST_F(Stories, SamplesDoNotDependOnWhatGrowsBesideThem) {
  std::vector<GenerationRequest> requests;
  for (int i = 0; i < 9; ++i) {
    requests.push_back({.prompt = {story_.begin(), story_.begin() + 1 + 2 * i},
                        .max_new_tokens = 3 + 5 * (i % 3),
                        .sampling = {.temperature = 0.8, .top_p = 0.95},
                        .seed = 7,
                        .sample = static_cast<uint64_t>(i)});
  }
  const auto run = [&](int64_t slots, const std::vector<GenerationRequest>& some) {
    Generator generator(kModel, {.precision = "float64", .slots = slots, .capacity = 64, .prompt_tokens = 5});
    return ids_of(generator.run(some));
  };
  std::vector<std::vector<int32_t>> alone;
  for (const GenerationRequest& request : requests) alone.push_back(run(1, {request})[0]);
  EXPECT_EQ(run(1, requests), alone);
  EXPECT_EQ(run(3, requests), alone);
  EXPECT_EQ(run(7, requests), alone);
  EXPECT_NE(alone[0], alone[3]);
}

TEST_F(Stories, EndsWhereItIsTold) {
  Generator generator(kModel, {.slots = 2, .capacity = 64});
  const auto after = golden_.at("greedy32_from_prompt").get<std::vector<int32_t>>();
  const auto made = generator.run({{.prompt = prompt_, .max_new_tokens = 20, .stop_ids = {after[5]}},
                                   {.prompt = prompt_, .max_new_tokens = 20}},
                                  [](size_t request, int32_t) { return request == 0; });
  const auto first = std::find(after.begin(), after.end(), after[5]);
  EXPECT_EQ(made[0].ids, std::vector<int32_t>(after.begin(), first));
  EXPECT_EQ(made[0].end, Generated::End::stop_id);
  EXPECT_EQ(made[1].ids, std::vector<int32_t>{after[0]});
  EXPECT_EQ(made[1].end, Generated::End::caller);
}

TEST_F(Stories, RefusesWhatDoesNotFit) {
  Generator generator(kModel, {.capacity = 16});
  EXPECT_THROW(generator.run({{.prompt = {}}}), ConfigError);
  EXPECT_THROW(generator.run({{.prompt = {512}, .max_new_tokens = 1}}), ConfigError);
  EXPECT_THROW(generator.run({{.prompt = {1, 2, 3}, .max_new_tokens = 14}}), ConfigError);
  EXPECT_THROW(Generator(kModel, {.slots = 0}), ConfigError);
  EXPECT_THROW(Generator(kModel, {.capacity = 513}), ConfigError);
}

TEST_F(Stories, TextIsShownWhenItIsCertain) {
  const auto tokenizer = open_tokenizer(kModel);
  std::vector<int32_t> ids(story_.begin(), story_.begin() + 60);
  const std::string whole = tokenizer->decode(ids);
  TextStream stream(*tokenizer, {ids.data(), 1});
  std::string shown;
  for (size_t i = 1; i < ids.size(); ++i) shown += stream.add(ids[i]);
  shown += stream.finish();
  EXPECT_EQ(tokenizer->decode({ids.data(), 1}) + shown, whole);

  const std::string stop = whole.substr(20, 7);
  TextStream stopped(*tokenizer, {ids.data(), 1}, {"not there", stop});
  std::string until;
  for (size_t i = 1; i < ids.size() && !stopped.stopped(); ++i) until += stopped.add(ids[i]);
  EXPECT_TRUE(stopped.stopped());
  EXPECT_EQ(until + stopped.finish(), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(stopped.text(), until);
}

// Bytes of one character come as tokens of their own.
TEST_F(Stories, ACharacterIsNotShownByHalves) {
  const auto tokenizer = open_tokenizer(kModel);
  const std::string text = "a \xF0\x9F\x98\x80 b";
  const std::vector<int32_t> ids = tokenizer->encode(text);
  TextStream stream(*tokenizer, {});
  std::string shown;
  for (const int32_t id : ids) {
    const std::string part = stream.add(id);
    EXPECT_EQ(part.find("\xEF\xBF\xBD"), std::string::npos);
    shown += part;
  }
  EXPECT_EQ(shown + stream.finish(), text);
}

}  // namespace
}  // namespace lethe::test
