// The fuzz target's seeds, hostile files among them, run as tests.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/data/files.h"
#include "tests/fuzz/tokenizer_json.h"

namespace lethe {
namespace {

TEST(TokenizerFuzz, SeedsEndInAResultOrAnError) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(LETHE_SOURCE_DIR "/tests/fuzz/seeds/tokenizer_json")) {
    SCOPED_TRACE(entry.path().string());
    run_tokenizer_json(read_bytes(entry.path().string()));
    ++count;
  }
  EXPECT_GT(count, 10);
}

// A short file that doubles a text at every step.
TEST(TokenizerFuzz, TextsThatGrowWithoutEndAreRefused) {
  std::string steps, levels;
  for (int i = 0; i < 50; ++i) {
    steps += R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"},)";
    levels += R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false},)";
  }
  steps.pop_back();
  levels.pop_back();
  const std::string model = R"("model":{"vocab":{"a":0},"merges":[]}})";
  const auto growing = [&](const std::string& part, const std::string& text) {
    const auto tokenizer = make_pipeline(parse_json("{" + part + "," + model, "input"), "input", {});
    EXPECT_THROW(tokenizer->decode(tokenizer->encode(text, {.drop_unknown = true})), DataError);
  };
  growing(R"("normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}", "a");
  growing(R"("decoder":{"type":"Sequence","decoders":[)" + steps + "]}", "a");
  growing(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[)" + levels + "]}", "\xC3\xA9");
}

}  // namespace
}  // namespace lethe
