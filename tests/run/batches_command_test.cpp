// `lethe batches` writes what the loader deals to the run of the same configuration.
#include <gtest/gtest.h>

#include <cstring>

#include "engine/files/safetensors.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

std::vector<int32_t> values_of(const SafetensorsFile& file, const std::string& name) {
  const auto bytes = file.bytes(file.require(name));
  std::vector<int32_t> values(bytes.size() / sizeof(int32_t));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(BatchesCommand, WritesTheStepsOfTheRun) {
  const Folder folder;
  const std::string config = write_text(folder / "config.yaml", small_config(folder.path()));
  const CommandResult done = lethe_command(
      {"batches", config, "--output", folder / "batches.safetensors", "--first", "3", "--steps", "4"});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "steps 3 to 6 of 8 in " + (folder / "batches.safetensors") + "\n");

  const SafetensorsFile file(folder / "batches.safetensors");
  const TrainOptions options = small_options(folder.path());
  const RunData data = prepare_data(options);
  const Loader loader = data.loader(static_cast<uint64_t>(options.data.shuffle_seed));
  std::vector<int32_t> ids, labels, positions, starts;
  for (uint64_t s = 2; s < 6; ++s) {
    const Batch batch = loader.at(4 * s, 4);
    ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    positions.insert(positions.end(), batch.positions.begin(), batch.positions.end());
    starts.insert(starts.end(), batch.document_start.begin(), batch.document_start.end());
  }
  EXPECT_EQ(file.require("ids").shape, (std::vector<int64_t>{4, 4, 24}));
  EXPECT_EQ(values_of(file, "ids"), ids);
  EXPECT_EQ(values_of(file, "labels"), labels);
  EXPECT_EQ(values_of(file, "positions"), positions);
  EXPECT_EQ(values_of(file, "document_start"), starts);
  EXPECT_FALSE(std::filesystem::exists(options.output)) << "it is no run";
}

TEST(BatchesCommand, RefusesStepsBeyondTheRun) {
  const Folder folder;
  const std::string config = write_text(folder / "config.yaml", small_config(folder.path()));
  const CommandResult refused =
      lethe_command({"batches", config, "--output", folder / "b", "--first", "7", "--steps", "3"});
  EXPECT_EQ(refused.status, 2);
  expect_parts(refused.err, {"--steps", "3 steps from step 7 on go beyond the run's 8"});
  EXPECT_FALSE(std::filesystem::exists(folder / "b"));
}

}  // namespace
}  // namespace lethe::test
