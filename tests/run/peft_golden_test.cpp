// Adapters that PEFT made, beside what PEFT computes with them: tests/golden/make_peft.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/files/json_file.h"
#include "engine/files/safetensors.h"
#include "model/weights/load.h"
#include "model/weights/names.h"
#include "model/weights/save.h"
#include "tests/files.h"
#include "tests/run/process.h"
#include "tools/run/inference.h"

namespace lethe::test {
namespace {

const std::string kGolden = LETHE_SOURCE_DIR "/tests/golden/peft/";

nlohmann::json golden() {
  return parse_json(kGolden + "golden.json", read_text(kGolden + "golden.json"));
}

std::vector<double> logits_of(const std::string& model, const std::string& adapter) {
  const Folder made;
  std::vector<std::string> arguments{
      "inspect", model, "--ids", kGolden + "ids.json", "--out", made / "out.safetensors", "--device", "cpu"};
  if (!adapter.empty()) arguments.insert(arguments.end(), {"--adapter", adapter});
  const CommandResult run = lethe_command(arguments);
  EXPECT_EQ(run.status, 0) << run.err;
  const SafetensorsFile file(made / "out.safetensors");
  std::vector<double> values(static_cast<size_t>(elements_of(file.require("logits").shape)));
  file.read("logits", {values.data(), DType::f64, 0});
  return values;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

class Peft : public testing::TestWithParam<const char*> {
 protected:
  const std::string adapter = kGolden + GetParam();
};

// Both sides compute in float32: some 20 operations after each other, sums of at most 13 terms, 6e-8 each:
// sqrt(260) of those are 1e-6 of the largest logit, which is at most 2.9.
TEST_P(Peft, HasTheLogitsThatPeftHas) {
  const std::vector<double> expected = golden().at(GetParam()), base = golden().at("base");
  EXPECT_GT(distance(expected, base), 0.1) << "the adapter must do something";
  EXPECT_LT(distance(logits_of(kGolden + "base", adapter), expected), 5e-6);
}

TEST_P(Peft, MergedHasThemToo) {
  const Folder made;
  const CommandResult run = lethe_command({"merge", kGolden + "base", adapter, "--output", made / "merged"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_LT(distance(logits_of(made / "merged", ""), golden().at(GetParam()).get<std::vector<double>>()),
            5e-6);
}

TEST_P(Peft, AdaptsTheSameModules) {
  const LlamaConfig model = parse_config(kGolden + "base/config.json");
  const AdapterFiles files = open_adapter(adapter, model);
  std::vector<std::string> adapted;
  for (const LinearModule& m : linear_modules(model)) {
    if (adapter_of(files.config, m.path)) adapted.push_back(m.path);
  }
  std::sort(adapted.begin(), adapted.end());
  EXPECT_EQ(adapted, golden().at(GetParam() + std::string(".modules")).get<std::vector<std::string>>());
}

TEST_P(Peft, IsWrittenAgainBitForBit) {
  InferenceModel loaded(kGolden + "base", {.adapter = adapter, .rows = 1, .tokens = 4});
  const Folder made;
  save_adapter(made / "again", loaded.session(), *loaded.spec().lora, loaded.config(), "");
  const SafetensorsFile before(adapter + "/adapter_model.safetensors"),
      after(made / "again/adapter_model.safetensors");
  EXPECT_EQ(before.metadata(), after.metadata());
  ASSERT_EQ(before.entries().size(), after.entries().size());
  for (const SafetensorsEntry& entry : before.entries()) {
    const SafetensorsEntry& other = after.require(entry.name);
    EXPECT_EQ(entry.type, other.type) << entry.name;
    EXPECT_TRUE(std::ranges::equal(before.bytes(entry), after.bytes(other))) << entry.name;
  }
  EXPECT_EQ(open_adapter(made / "again", loaded.config()).config,
            open_adapter(adapter, loaded.config()).config);
}

INSTANTIATE_TEST_SUITE_P(Golden, Peft, testing::Values("patterns", "rslora", "dora", "whole"),
                         [](const auto& adapter) { return std::string(adapter.param); });

}  // namespace
}  // namespace lethe::test
