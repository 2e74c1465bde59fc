// How many documents a program is made for, and that no batch with more reaches it.
#include <gtest/gtest.h>

#include "engine/backend/backend.h"
#include "engine/error.h"
#include "tests/files.h"
#include "tests/run/alone.h"
#include "tests/run/small_run.h"
#include "tools/run/run_data.h"
#include "tools/run/training_run.h"

namespace lethe::test {
namespace {

int64_t most_documents(const Rows& rows) {
  const auto tokens = static_cast<size_t>(rows.tokens_per_row());
  std::vector<int32_t> ids(tokens), labels(tokens), positions(tokens), starts(tokens);
  int64_t most = 0;
  for (int64_t row = 0; row < rows.size(); ++row) {
    rows.fill(row, {ids.data(), labels.data(), positions.data(), starts.data()});
    int64_t found = 0;
    for (size_t t = 0; t < tokens; ++t) found += starts[t] == static_cast<int32_t>(t);
    most = std::max(most, found);
  }
  return most;
}

TEST(Documents, AreCountedOverAllThatIsTrainedOnOrMeasured) {
  const Folder folder;
  for (const char* packing : {"stream", "pack"}) {
    const RunData data = prepare_data(small_options(folder.path(), {std::string("data.packing=") + packing}));
    int64_t most = 0;
    for (const TrainingSource& s : data.sources) most = std::max(most, most_documents(*s.rows));
    for (const Domain& d : data.domains) most = std::max(most, most_documents(*d.rows));
    ASSERT_GT(most, 1);
    const int64_t found = documents_of(data, 3);
    EXPECT_EQ(found % 16, 0);
    EXPECT_GE(found, 3 * most);
    EXPECT_LT(found, 3 * most + 16);
  }
}

TEST(Documents, OfUnmaskedRowsAreTheRows) {
  const Folder folder;
  const RunData data = prepare_data(small_options(folder.path(), {"data.document_mask=false"}));
  EXPECT_EQ(documents_of(data, 3), 3);
}

TEST(Documents, BeyondTheCapacityAreRefused) {
  const std::vector<int32_t> starts{0, 0, 2, 2, 0, 1, 2, 3};  // two rows of four: 2 and 4 documents
  EXPECT_NO_THROW(require_documents(starts, 4, 6));
  EXPECT_NO_THROW(require_documents(starts, 4, 0));
  EXPECT_THROW(require_documents(starts, 4, 5), DataError);
}

TEST(Documents, TheDeterministicSettingReachesTheProgram) {
  const Folder folder;
  const TrainOptions plain = small_options(folder.path());
  const TrainOptions asked = small_options(folder.path(), {"train.deterministic=true"});
  EXPECT_FALSE(program_spec_of(plain, {}).deterministic);
  EXPECT_TRUE(program_spec_of(asked, {}).deterministic);
}

TEST(AttentionDropout, IsTheModelsOwnUnlessTheRunSaysOtherwise) {
  const Folder folder;
  const LlamaConfig model{.attention_dropout = 0.25};
  const auto rate = [&](const std::vector<std::string>& set) {
    return program_spec_of(small_options(folder.path(), set), model).config.attention_dropout;
  };
  EXPECT_EQ(rate({}), 0.25);
  EXPECT_EQ(rate({"train.attention_dropout=-1"}), 0.25);
  EXPECT_EQ(rate({"train.attention_dropout=0"}), 0);
  EXPECT_EQ(rate({"train.attention_dropout=0.1"}), 0.1);
}

TEST(Documents, PackedHaveTheLogitsTheyHaveAlone) {
  for (const char* family : {"llama", "qwen2", "qwen3", "smollm3"}) {
    for (const int64_t rank : {0, 3}) {
      ProgramSpec spec = tiny_spec(DType::f64);
      if (std::string(family) != "llama") use_family(spec.config, family);
      if (rank > 0) spec.lora = tiny_lora(rank, 0);
      EXPECT_LT(packed_against_alone(spec, {5, 1, 17, 2, 9}, [] { return make_cpu_backend({.threads = 2}); }),
                1e-12)
          << family;
    }
  }
}

}  // namespace
}  // namespace lethe::test
