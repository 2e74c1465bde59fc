// Whole training runs on the GPU, from text to checkpoint: what must be equal to the bit, and what moves
// between devices.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tests/cuda/compare.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

struct Method {
  std::string name, precision;
  bool lora = false;
};

void PrintTo(const Method& method, std::ostream* out) {
  *out << method.name;
}

// small_run.h's configuration with heads that every attention kernel takes.
TrainOptions options_of(const Folder& folder, const Method& method, const std::string& device,
                        const std::vector<std::string>& more = {}) {
  const nlohmann::json config = {{"model_type", "llama"},       {"vocab_size", 60},
                                 {"hidden_size", 128},          {"intermediate_size", 192},
                                 {"num_hidden_layers", 2},      {"num_attention_heads", 2},
                                 {"num_key_value_heads", 1},    {"max_position_embeddings", 64},
                                 {"rms_norm_eps", 1e-5},        {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", false}};
  std::vector<std::string> set = {"model.config=" + write_text(folder / "config.json", config.dump()),
                                  "method=" + std::string(method.lora ? "lora" : "full"),
                                  "lora.rank=5",
                                  "lora.dropout=0.2",
                                  "optimizer.weight_decay=0.01",
                                  "precision=" + method.precision,
                                  "train.deterministic=true",
                                  "device=" + device};
  set.insert(set.end(), more.begin(), more.end());
  return small_options(folder.path(), set);
}

void expect_equal(const Ran& got, const Ran& expected, const std::string& what) {
  EXPECT_EQ(got.last, expected.last) << what;
  EXPECT_TRUE(got.state == expected.state) << "checkpoint's tensors, " << what;
  EXPECT_EQ(got.about, expected.about) << what;
  EXPECT_TRUE(got.exported == expected.exported) << "trained weights, " << what;
  EXPECT_EQ(got.metrics, expected.metrics) << what;
}

// The training loss of each step.
std::vector<double> losses_of(const Ran& ran) {
  std::vector<double> losses;
  for (const std::string& line : ran.metrics) {
    const auto object = nlohmann::json::parse(line);
    if (object.at("kind") == "step") losses.push_back(object.at("loss").get<double>());
  }
  return losses;
}

class CudaTraining : public testing::TestWithParam<Method> {};

TEST_P(CudaTraining, TwoRunsOfASeedAreEqual) {
  LETHE_NEEDS_GPU();
  const Folder first, second;
  const Ran expected = train_small(options_of(first, GetParam(), "cuda"), false);
  ASSERT_EQ(expected.last, 8);
  ASSERT_EQ(expected.metrics.size(), 8u + 5u);
  ASSERT_LT(losses_of(expected).back(), losses_of(expected).front());
  expect_equal(train_small(options_of(second, GetParam(), "cuda"), false), expected, "again");
}

TEST_P(CudaTraining, ResumedEqualsUninterrupted) {
  LETHE_NEEDS_GPU();
  const Folder whole;
  const Ran expected = train_small(options_of(whole, GetParam(), "cuda"), false);
  for (const int64_t k : {1, 2, 5, 8}) {
    const Folder parts;
    const TrainOptions options = options_of(parts, GetParam(), "cuda");
    EXPECT_EQ(train_small(options, false, k).last, k);
    expect_equal(train_small(options, true), expected, fmt::format("interrupted after step {}", k));
  }
}

TEST_P(CudaTraining, RecomputationDoesNotChangeABit) {
  LETHE_NEEDS_GPU();
  const Folder kept;
  const Ran expected = train_small(options_of(kept, GetParam(), "cuda"), false);
  for (const char* policy : {"norms", "mlp", "block"}) {
    const Folder again;
    expect_equal(
        train_small(options_of(again, GetParam(), "cuda", {std::string("train.recompute=") + policy}), false),
        expected, policy);
  }
}

// Of every step, so that each copy is followed by a step, and one is awaited by the next.
TEST_P(CudaTraining, CheckpointsBesideTrainingAreThoseItWaitsForAndGoOn) {
  LETHE_NEEDS_GPU();
  const std::vector<std::string> every = {"train.save_every=1", "train.keep_checkpoints=9"};
  const auto options = [&](const Folder& folder, const char* async) {
    std::vector<std::string> set = every;
    set.push_back(std::string("train.checkpoint_async=") + async);
    return options_of(folder, GetParam(), "cuda", set);
  };
  const Folder waiting, beside;
  const Ran expected = train_small(options(waiting, "false"), false);
  ASSERT_EQ(expected.last, 8);
  expect_equal(train_small(options(beside, "true"), false), expected, "beside training");
  for (int step = 1; step <= 8; ++step) {
    const std::string name = fmt::format("run/checkpoints/step-{:08}/state.safetensors", step);
    const std::string bytes = read_bytes(waiting / name);
    EXPECT_GT(bytes.size(), 1000u);
    EXPECT_TRUE(read_bytes(beside / name) == bytes) << "step " << step;
  }
  const Folder parts;
  EXPECT_EQ(train_small(options(parts, "true"), false, 3).last, 3);
  expect_equal(train_small(options(parts, "true"), true), expected, "resumed");
}

// Weights, moments and master weights come over as they are. From there on the devices' sums are rounded
// apart: four steps at a rate of 0.01, as in model_test.cpp.
TEST_P(CudaTraining, MovesBetweenDevices) {
  LETHE_NEEDS_GPU();
  const double bound = GetParam().precision == "bfloat16" ? 0.05 : 1e-3;
  for (const auto& [from, to] : {std::pair{"cpu", "cuda"}, {"cuda", "cpu"}}) {
    const Folder whole, moved;
    const Ran expected = train_small(options_of(whole, GetParam(), from), false);
    train_small(options_of(moved, GetParam(), from), false, 4);
    {
      TrainingRun there(prepare_run(options_of(moved, GetParam(), from))),
          here(prepare_run(options_of(moved, GetParam(), to)));
      ASSERT_EQ(there.resume(), 4);
      ASSERT_EQ(here.resume(), 4);
      EXPECT_EQ(differing_tensors(there.session(), here.session()), std::vector<std::string>{})
          << from << " to " << to;
    }
    const Ran got = train_small(options_of(moved, GetParam(), to), true);
    EXPECT_EQ(got.last, 8);
    const std::vector<double> a = losses_of(got), b = losses_of(expected);
    ASSERT_EQ(a.size(), b.size());
    for (size_t s = 0; s < a.size(); ++s) {
      EXPECT_NEAR(a[s], b[s], s < 4 ? 0 : bound) << from << " to " << to << ", step " << s + 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, CudaTraining,
                         testing::Values(Method{"full_bf16", "bfloat16"},
                                         Method{"lora_bf16", "bfloat16", true},
                                         Method{"full_float", "float32"},
                                         Method{"lora_float", "float32", true}),
                         [](const auto& method) { return method.param.name; });

}  // namespace
}  // namespace lethe::test
