#include "data/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/tokenizer_training.h"
#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

const std::string shared = LETHE_SHARED_DATA;

// Python with all that white space can be in it, and names enough to learn some hundred pieces from.
std::string code_sample() {
  const std::vector<std::string> words = {"read",  "write", "open",  "close", "line",  "value",
                                          "count", "name",  "first", "table", "index", "parse",
                                          "token", "merge", "print", "config"};
  std::string text = "import os\n\n\nclass A:\n";
  for (size_t i = 0; i < 16 * 16; ++i) {
    const std::string name = words[i % 16] + "_" + words[i / 16];
    text += "    def " + name + "(self, " + words[(i * 7) % 16] + "):\n        if " + name + "  >  " +
            std::to_string(i * 7) + ":\n\t\treturn 'caf\xc3\xa9'   # two  spaces\n\n        return None\n";
  }
  return text + "   \n\t";
}

std::string train(const Folder& folder, const TokenizerTraining& options, const std::string& name) {
  const std::string text = folder.write("code.py", code_sample());
  train_sentencepiece({Corpus({.paths = {text}})}, options, folder / name);
  return folder / name;
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0, end = 0;
  while ((end = text.find(separator, begin)) != std::string::npos) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

TEST(SentencePiece, GivesTheGoldenIdsOfLlama2) {
  const std::string golden = shared + "/tokenizers/ggml-vocab-llama-spm.gguf";
  if (!std::filesystem::exists(golden + ".inp")) GTEST_SKIP() << "no shared tokenizers here";
  const auto tokenizer = load_sentencepiece(shared + "/tokenizers/llama2.tokenizer.model");
  EXPECT_EQ(tokenizer->vocab_size(), 32000);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->piece(13), "<0x0A>");
  const auto inputs = split(read_bytes(golden + ".inp"), "\n__ggml_vocab_test__\n");
  std::istringstream outputs(read_bytes(golden + ".out"));
  ASSERT_EQ(inputs.size(), 47u);
  for (const std::string& input : inputs) {
    std::string line;
    std::getline(outputs, line);
    std::istringstream numbers(line);
    std::vector<int32_t> ids;
    for (int32_t id = 0; numbers >> id;) ids.push_back(id);
    EXPECT_EQ(tokenizer->encode(input), ids) << input;
    EXPECT_EQ(tokenizer->decode(ids), input);
  }
}

TEST(SentencePiece, GivesTheGoldenIdsOfStories260K) {
  const std::string model = shared + "/models/stories260K-hf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no shared models here";
  const auto tokenizer = load_sentencepiece(model);
  const auto golden = nlohmann::json::parse(read_bytes(model + "/golden.json"));
  std::vector<int32_t> ids = tokenizer->encode(golden.at("prompt").get<std::string>());
  ids.insert(ids.begin(), tokenizer->bos_id());
  EXPECT_EQ(ids, golden.at("prompt_ids").get<std::vector<int32_t>>());
  int cases = 0;
  for (const auto& example : golden.at("tokenizer_cases_without_bos")) {
    const auto text = example.at("text").get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), example.at("ids").get<std::vector<int32_t>>()) << text;
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

TEST(SentencePiece, RefusesWhatIsNoModelOrNoIdOrNoText) {
  const Folder folder;
  const std::string path = folder.write("bad.model", "not a model at all");
  EXPECT_EQ(error_of<FormatError>([&] { load_sentencepiece(path); }).file, path);
  EXPECT_THROW(load_sentencepiece(folder.write("empty.model", "")), FormatError);
  const auto missing = error_of<DataError>([&] { load_sentencepiece(folder / "none.model"); });
  EXPECT_NE(std::string(missing.what()).find(folder / "none.model"), std::string::npos);

  const auto tokenizer = load_sentencepiece(train(folder, {.vocab_size = 320}, "m.model"));
  EXPECT_THROW(tokenizer->decode(std::vector<int32_t>{320}), DataError);
  EXPECT_THROW(tokenizer->decode(std::vector<int32_t>{-1}), DataError);
  EXPECT_THROW(tokenizer->piece(320), DataError);
  EXPECT_THROW(tokenizer->encode("\xff"), DataError);
}

class Trained : public testing::TestWithParam<std::string> {};

TEST_P(Trained, GivesBackCodeByteForByte) {
  const Folder folder;
  const auto tokenizer =
      load_sentencepiece(train(folder, {.model_type = GetParam(), .vocab_size = 340}, "m.model"));
  EXPECT_EQ(tokenizer->vocab_size(), 340);
  const std::string null_inside("a\0b", 3);
  for (const std::string& text :
       {code_sample(), std::string(" leading"), std::string("    four"), std::string("\n\nx\r\n\r\n"),
        std::string("\t\tx = 1\t# tab"), std::string("trailing   "), std::string("   "), std::string("\n"),
        std::string("日本語 🦙 <s> </s> <unk> <0x0A>"), null_inside, std::string()}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST_P(Trained, KeepsANewlineATokenOfItsOwnAndMergesIndentation) {
  const Folder folder;
  const auto tokenizer =
      load_sentencepiece(train(folder, {.model_type = GetParam(), .vocab_size = 340}, "m.model"));
  bool indentation = false;
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    const std::string piece = tokenizer->piece(id);
    EXPECT_EQ(piece.find_first_of("\n\t "), std::string::npos) << id;
    indentation = indentation || piece == "▁▁▁";
  }
  EXPECT_TRUE(indentation);
  const auto newline = tokenizer->encode("a\nb");
  EXPECT_EQ(std::count_if(newline.begin(), newline.end(),
                          [&](int32_t id) { return tokenizer->piece(id) == "<0x0A>"; }),
            1);
}

TEST_P(Trained, IsTheSameFileEachTimeAndSaysNothing) {
  const Folder folder;
  testing::internal::CaptureStderr();
  const std::string first =
      read_bytes(train(folder, {.model_type = GetParam(), .vocab_size = 320}, "1.model"));
  const std::string second =
      read_bytes(train(folder, {.model_type = GetParam(), .vocab_size = 320}, "2.model"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(first, second);
  EXPECT_EQ(load_sentencepiece(folder / "1.model")->fingerprint(),
            load_sentencepiece(folder / "2.model")->fingerprint());
  train(folder, {.model_type = GetParam(), .vocab_size = 321}, "3.model");
  EXPECT_NE(load_sentencepiece(folder / "1.model")->fingerprint(),
            load_sentencepiece(folder / "3.model")->fingerprint());
}

INSTANTIATE_TEST_SUITE_P(BothKinds, Trained, testing::Values("bpe", "unigram"),
                         [](const auto& kind) { return kind.param; });

TEST(TokenizerTraining, ThinsALongCorpusEvenly) {
  const Folder folder;
  std::string text;
  // The letter q comes in the last tenth only.
  for (int i = 0; i < 3000; ++i)
    text += i < 2700 ? "some words of a line in a long text\n" : "quite quiet queens\n";
  const Corpus corpus({.paths = {folder.write("long.txt", text)}});
  train_sentencepiece({corpus}, {.vocab_size = 300, .max_bytes = 20000}, folder / "m.model");
  const auto tokenizer = load_sentencepiece(folder / "m.model");
  EXPECT_EQ(tokenizer->vocab_size(), 300);
  bool learned = false;
  for (int32_t id = 0; id < 300; ++id) learned = learned || tokenizer->piece(id) == "q";
  EXPECT_TRUE(learned);
}

TEST(TokenizerTraining, RefusesWhatCannotBeLearnedAndWritesNothing) {
  const Folder folder;
  testing::internal::CaptureStderr();
  const auto error = error_of<DataError>([&] { train(folder, {.vocab_size = 50000}, "m.model"); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_NE(std::string(error.what()).find("vocab_size 50000"), std::string::npos) << error.what();
  EXPECT_EQ(error_of<ConfigError>([&] { train(folder, {.model_type = "word"}, "m.model"); }).key,
            "tokenizer.model_type");
  EXPECT_EQ(error_of<ConfigError>([&] { train(folder, {.vocab_size = 259}, "m.model"); }).key,
            "tokenizer.vocab_size");
  EXPECT_EQ(error_of<ConfigError>([&] { train(folder, {.character_coverage = 0.5}, "m.model"); }).key,
            "tokenizer.character_coverage");
  EXPECT_FALSE(std::filesystem::exists(folder / "m.model"));
  EXPECT_FALSE(std::filesystem::exists(folder / "m.model.partial"));
}

}  // namespace
}  // namespace lethe
