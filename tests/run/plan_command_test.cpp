// `lethe plan` for a model that this machine could not hold.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

const std::string kConfigs = std::string(LETHE_SOURCE_DIR) + "/configs/plan/";

constexpr double layers = 32, hidden = 4096, mlp = 11008, vocabulary = 32000, tokens = 4096, rows = 2;
constexpr double parameters = 6738415616,
                 adapters = 159907840;  // of the model's card; of PEFT with r = 64 on all seven maps
constexpr double gains = (2 * layers + 1) * hidden;
constexpr double moved = rows * tokens;
// Multiplied parameters: the embedding is looked up, not multiplied; norms are vectors.
constexpr double multiplied = parameters - vocabulary * hidden - (2 * layers + 1) * hidden;
// Causal scores and their weighted sum are two products forward; backward computes the scores again and four
// more.
constexpr double attention_forward = 2 * 2 * hidden * layers * rows * tokens * (tokens + 1) / 2;
constexpr double attention = attention_forward * (2 + 5) / 2;

nlohmann::json planned(const std::string& name, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"plan", kConfigs + name, "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CommandResult result = lethe_command(arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  // The time that this process itself took: what else the machine does is no matter of the plan's.
  EXPECT_LT(result.cpu_seconds, 2) << name;
  return nlohmann::json::parse(result.out);
}

TEST(PlanCommand, FullFineTuningOfLlama2At7B) {
  const nlohmann::json plan = planned("llama-2-7b-full.yaml");
  EXPECT_EQ(plan["parameters"], parameters);
  EXPECT_EQ(plan["trainable"], parameters);
  // Forward 2 N D, backward 4 N D (Kaplan et al. 2020), and attention. The engine also counts what is not a
  // product (norms, activations): below 1%.
  const double expected = 6 * multiplied * moved + attention;
  const double products = plan["forward_flops"].get<double>() + plan["backward_flops"].get<double>();
  EXPECT_NEAR(products / expected, 1, 0.01);
  EXPECT_GE(plan["forward_flops"].get<double>(), 2 * multiplied * moved + attention_forward);
  const nlohmann::json& bytes = plan["bytes"];
  EXPECT_EQ(bytes["weights"], 2 * parameters) << "bfloat16";
  EXPECT_EQ(bytes["gradients"], 2 * parameters + 2 * gains) << "bfloat16, those of the norms float32";
  EXPECT_EQ(bytes["optimizer"], (4 + 4 + 2) * parameters)
      << "two moments in float32 and the lower half of the weights";
  EXPECT_EQ(plan["checkpoint_bytes"], (2 + 10) * parameters);
}

TEST(PlanCommand, StateAndGradientsHaveTheTypesAskedFor) {
  const auto bytes = [](const std::vector<std::string>& sets) {
    std::vector<std::string> arguments;
    for (const std::string& s : sets) arguments.insert(arguments.end(), {"--set", s});
    return planned("llama-2-7b-full.yaml", arguments)["bytes"];
  };
  const nlohmann::json narrow = bytes({"optimizer.state=bfloat16"});
  EXPECT_EQ(narrow["optimizer"], (2 + 2) * parameters);
  EXPECT_EQ(bytes({"train.batch_size=4"})["gradients"], 4 * parameters) << "added up over two micro-batches";
  EXPECT_EQ(bytes({"train.gradients=float32"})["gradients"], 4 * parameters);
  EXPECT_EQ(bytes({"precision=float32"})["optimizer"], (4 + 4) * parameters);
  for (const char* key : {"optimizer.state", "train.gradients"}) {
    const CommandResult result =
        lethe_command({"plan", kConfigs + "llama-2-7b-full.yaml", "--set", "precision=float32", "--set",
                       std::string(key) + "=bfloat16"});
    EXPECT_EQ(result.status, 2);
    expect_parts(result.err, {key, "bfloat16 is narrower than the weights, whose precision is float32"});
  }
}

// Maps that read the same input, one matrix with room for their factors: engine/ops/lora_linear.h.
struct Merged {
  double out, in, parts;
  double rank() const { return 64 * parts; }
  double elements() const { return (out + rank()) * (in + rank()); }  // the pitch needs no rounding up here
  // u, y, du, dx and dA over all parts together; dB part by part.
  double flops() const { return 2 * (3 * in * rank() + 2 * out * rank() + out * 64); }
};
const Merged merged[] = {
    {3 * hidden, hidden, 3}, {hidden, hidden, 1}, {2 * mlp, hidden, 2}, {hidden, mlp, 1}};

TEST(PlanCommand, LoraOfRank64OnLlama2At7B) {
  const nlohmann::json plan = planned("llama-2-7b-lora-r64.yaml");
  EXPECT_EQ(plan["parameters"], parameters + adapters);
  EXPECT_EQ(plan["trainable"], adapters);
  // Frozen weights: 2 N D forward, 2 N D backward for what flows on. The first layer's q, k, v and the norms
  // before them lead nowhere further, which is 3 of 32 * (4 + 3 * 2.7) maps: below 1%.
  const double first_qkv = 3 * hidden * hidden;
  double factors = 0, stored = 2 * vocabulary * hidden + gains;
  for (const Merged& m : merged) {
    factors += layers * m.flops();
    stored += layers * m.elements();
  }
  const double expected = (4 * multiplied - 2 * first_qkv + factors) * moved + attention;
  const double products = plan["forward_flops"].get<double>() + plan["backward_flops"].get<double>();
  EXPECT_NEAR(products / expected, 1, 0.01);
  const nlohmann::json& bytes = plan["bytes"];
  EXPECT_EQ(bytes["weights"], 2 * stored + 4 * adapters)
      << "frozen ones and copies of the factors in bfloat16, trained ones in float32";
  EXPECT_EQ(bytes["gradients"], 4 * adapters);
  EXPECT_EQ(bytes["optimizer"], (4 + 4) * adapters);
  EXPECT_EQ(plan["checkpoint_bytes"], (4 + 4 + 4) * adapters);
}

TEST(PlanCommand, PrecisionSetsTheBytesOfTheWeights) {
  const auto weight = [](const char* precision) {
    return planned("llama-2-7b-full.yaml",
                   {"--set", std::string("precision=") + precision})["bytes"]["weights"]
        .get<double>();
  };
  EXPECT_NEAR(weight("float32") / weight("bfloat16"), 2, 1e-3);
  EXPECT_NEAR(weight("float64") / weight("bfloat16"), 4, 1e-3);
}

TEST(PlanCommand, PrintsBytesByKindAndFlops) {
  for (const char* name : {"llama-2-7b-full.yaml", "llama-2-7b-lora-r64.yaml"}) {
    const CommandResult result = lethe_command({"plan", kConfigs + name});
    EXPECT_EQ(result.status, 0) << result.err;
    expect_parts(result.out, {"weights", "gradients", "optimizer", "activations", "workspace", "arena",
                              "FLOPs per step"});
  }
}

TEST(PlanCommand, BeyondTheBudgetIsRefusedByTheTensorsName) {
  for (const char* name : {"llama-2-7b-full.yaml", "llama-2-7b-lora-r64.yaml"}) {
    const CommandResult result = lethe_command({"plan", kConfigs + name, "--set", "memory_budget_gb=10"});
    EXPECT_EQ(result.status, 2);
    EXPECT_TRUE(result.out.empty()) << result.out;
    expect_parts(result.err, {"model.layers.", "does not fit: it asks for ", " of the budget's 10000000000"});
  }
}

TEST(PlanCommand, NamesTheCheapestChangeThatWouldFitABudget) {
  const CommandResult whole =
      lethe_command({"plan", kConfigs + "llama-2-7b-lora-r64.yaml", "--budget", "500"});
  EXPECT_EQ(whole.status, 0) << whole.err;
  const CommandResult result =
      lethe_command({"plan", kConfigs + "llama-2-7b-lora-r64.yaml", "--budget", "40"});
  EXPECT_EQ(result.status, 2);
  expect_parts(result.err, {"needs ", " GB of 40.0 GB; ", "train.", " would fit ("});
}

}  // namespace
}  // namespace lethe::test
