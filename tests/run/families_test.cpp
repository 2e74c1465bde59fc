// A small random model of each family beside what transformers computed for it:
// tests/golden/make_families.py.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/files/safetensors.h"
#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

std::vector<std::string> golden_families() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(LETHE_SOURCE_DIR "/tests/golden/families"))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<double> values_of(const SafetensorsFile& file, const std::string& name) {
  std::vector<double> values(static_cast<size_t>(elements_of(file.require(name).shape)));
  file.read(name, {values.data(), DType::f64, 0});
  return values;
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

class Families : public testing::TestWithParam<std::string> {};

// Both sides compute in float32: some 20 operations after each other, each a sum of at most 30 terms, whose
// roundings of 6e-8 add up to sqrt(600) of one, 1.5e-6, in either; 1e-5 for a gradient that is what large
// terms of unlike signs leave. Where they leave nothing (a key's bias in a layer without positions moves no
// score against another) only their own roundings remain: 1e-7 of all gradients' length.
TEST_P(Families, LogitsLossAndEveryGradientAreThoseOfTransformers) {
  const std::string folder = LETHE_SOURCE_DIR "/tests/golden/families/" + GetParam();
  const Folder made;
  const CommandResult run = lethe_command({"inspect", folder, "--ids", folder + "/ids.json", "--out",
                                           made / "out.safetensors", "--gradients", "--device", "cpu"});
  ASSERT_EQ(run.status, 0) << run.err;
  const SafetensorsFile golden(folder + "/golden.safetensors"), ours(made / "out.safetensors");
  double all = 0;
  for (const SafetensorsEntry& entry : golden.entries()) {
    if (entry.name.starts_with("gradient.")) all = std::hypot(all, norm(values_of(golden, entry.name)));
  }
  for (const SafetensorsEntry& entry : golden.entries()) {
    ASSERT_NE(ours.find(entry.name), nullptr) << entry.name;
    EXPECT_EQ(ours.require(entry.name).shape, entry.shape) << entry.name;
    const std::vector<double> expected = values_of(golden, entry.name);
    std::vector<double> difference = values_of(ours, entry.name);
    ASSERT_EQ(difference.size(), expected.size()) << entry.name;
    for (size_t i = 0; i < expected.size(); ++i) difference[i] -= expected[i];
    const double left_over = entry.name.starts_with("gradient.") ? 1e-7 * all : 0;
    EXPECT_LT(norm(difference), 1e-5 * norm(expected) + left_over) << entry.name;
  }
  for (const SafetensorsEntry& entry : ours.entries()) {
    EXPECT_TRUE(entry.name == "losses" || golden.find(entry.name) != nullptr) << entry.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Families, testing::ValuesIn(golden_families()),
                         [](const auto& family) { return family.param; });

}  // namespace
}  // namespace lethe::test
