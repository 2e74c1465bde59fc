// Published vocabularies against their published ids, from lists in memory as GGUF files keep them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer_vocabulary.h"
#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

const std::string tokenizers = std::string(LETHE_SHARED_DATA) + "/tokenizers/";

TokenizerVocabulary byte_level(const std::string& name, const std::string& pre) {
  TokenizerVocabulary v{.model = "gpt2", .pre = pre};
  const auto vocab = nlohmann::json::parse(read_bytes(tokenizers + name + ".vocab.json"));
  for (const auto& [piece, id] : vocab.items()) {
    if (v.pieces.size() <= id.get<size_t>()) v.pieces.resize(id.get<size_t>() + 1);
    v.pieces[id.get<size_t>()] = piece;
  }
  std::istringstream lines(read_bytes(tokenizers + name + ".merges.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !line.starts_with("#version")) v.merges.push_back(line);
  }
  return v;
}

std::string base64_decoded(const std::string& text) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<uint32_t>(letters.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count));
  }
  return bytes;
}

// A list of tokens by rank, in which a pair merges when what it gives is a token: written out as merges.
TokenizerVocabulary tiktoken(const std::string& name, const std::string& pre) {
  TokenizerVocabulary v{.model = "gpt2", .pre = pre};
  std::vector<std::string> tokens;
  std::map<std::string, size_t> ranks;
  std::istringstream lines(read_bytes(tokenizers + name));
  for (std::string token, rank; lines >> token >> rank;) {
    tokens.push_back(base64_decoded(token));
    v.pieces.push_back(to_byte_level(tokens.back()));
    ranks[tokens.back()] = tokens.size() - 1;
  }
  for (const std::string& token : tokens) {
    std::vector<std::pair<size_t, size_t>> halves;
    for (size_t i = 1; i < token.size(); ++i) {
      const auto left = ranks.find(token.substr(0, i)), right = ranks.find(token.substr(i));
      if (left != ranks.end() && right != ranks.end()) halves.emplace_back(left->second, right->second);
    }
    std::sort(halves.begin(), halves.end());
    for (const auto& [left, right] : halves) v.merges.push_back(v.pieces[left] + " " + v.pieces[right]);
  }
  return v;
}

void expect_goldens(const Tokenizer& tokenizer, const std::string& name, bool gives_back) {
  const std::string inputs = read_bytes(tokenizers + "ggml-vocab-" + name + ".gguf.inp");
  std::istringstream outputs(read_bytes(tokenizers + "ggml-vocab-" + name + ".gguf.out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int count = 0;
  for (size_t begin = 0; begin <= inputs.size(); ++count) {
    const size_t end = std::min(inputs.find(separator, begin), inputs.size());
    const std::string input = inputs.substr(begin, end - begin);
    begin = end + separator.size();
    std::string line;
    std::getline(outputs, line);
    std::istringstream numbers(line);
    std::vector<int32_t> ids;
    for (int32_t id = 0; numbers >> id;) ids.push_back(id);
    EXPECT_EQ(tokenizer.encode(input), ids) << input;
    if (gives_back) {
      EXPECT_EQ(tokenizer.decode(ids), input);
    }
  }
  EXPECT_EQ(count, 47);
}

class Published : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::ifstream(tokenizers + "gpt2.vocab.json")) GTEST_SKIP() << "no shared tokenizers here";
  }
};

TEST_F(Published, Gpt2) {
  const auto tokenizer = make_tokenizer(byte_level("gpt2", "gpt-2"), "gpt2.gguf");
  EXPECT_EQ(tokenizer->vocab_size(), 50257);
  expect_goldens(*tokenizer, "gpt-2", true);
}

// The inputs have text in another form than NFC, which does not come back as it was.
TEST_F(Published, Qwen2) {
  expect_goldens(*make_tokenizer(byte_level("qwen2", "qwen2"), "qwen2.gguf"), "qwen2", false);
}

TEST_F(Published, Llama3) {
  const auto tokenizer = make_tokenizer(tiktoken("llama3.tiktoken.model", "llama-bpe"), "llama3.gguf");
  EXPECT_EQ(tokenizer->vocab_size(), 128000);
  expect_goldens(*tokenizer, "llama-bpe", true);
}

TEST_F(Published, Llama2AsTokenizerJson) {
  expect_goldens(*open_tokenizer(tokenizers + "llama2.tokenizer.json"), "llama-spm", true);
}

TEST_F(Published, Llama2SpecialTokensInText) {
  const auto tokenizer = open_tokenizer(tokenizers + "llama2.tokenizer.model");
  const EncodeOptions special{.parse_special = true};
  EXPECT_EQ(tokenizer->encode("a</s>b", special), (std::vector<int32_t>{263, 2, 289}));
  EXPECT_EQ(tokenizer->encode("a</s>  b", special), (std::vector<int32_t>{263, 2, 259, 289}));
  EXPECT_EQ(tokenizer->encode("Hello <s>.", {.add_special_tokens = true, .parse_special = true}),
            (std::vector<int32_t>{1, 15043, 29871, 1, 869}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{1, 15043, 2}, false), "<s>Hello</s>");
}

TEST(TokenizerVocabulary, MakesSentencePieceFromScores) {
  TokenizerVocabulary v{.model = "llama"};
  v.pieces = {"<unk>",
              "<s>",
              "</s>",
              "\xE2\x96\x81",
              "a",
              "b",
              "ab",
              "\xE2\x96\x81"
              "ab"};
  v.scores = {0, 0, 0, -4, -5, -6, -1, -2};
  v.types = {2, 3, 3, 1, 1, 1, 1, 1};
  v.unk_id = 0, v.bos_id = 1, v.eos_id = 2;
  v.add_bos = true;
  const auto tokenizer = make_tokenizer(v, "x.gguf");
  EXPECT_EQ(tokenizer->encode("ab b"), (std::vector<int32_t>{7, 3, 5}));
  EXPECT_EQ(tokenizer->encode("ab", {.add_special_tokens = true}), (std::vector<int32_t>{1, 7}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{7, 3, 5}), "ab b");
  v.add_space_prefix = false;
  EXPECT_EQ(make_tokenizer(v, "x.gguf")->encode("ab"), (std::vector<int32_t>{6}));
  const Folder folder;
  tokenizer->save(folder / "saved");
  EXPECT_EQ(open_tokenizer(folder / "saved")->prefix_ids(), (std::vector<int32_t>{1}));
}

TEST(TokenizerVocabulary, RefusesListsThatDoNotFit) {
  TokenizerVocabulary v{.model = "gpt2", .pre = "gpt-2"};
  v.pieces = {"a", "b", "ab", "<|end|>"};
  v.types = {1, 1, 1, 3};
  v.merges = {"a b"};
  v.eos_id = 3;
  const auto tokenizer = make_tokenizer(v, "x.gguf");
  EXPECT_EQ(tokenizer->encode("ab<|end|>", {.parse_special = true}), (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(tokenizer->eos_id(), 3);
  const auto refused = [&](auto change, const std::string& where) {
    TokenizerVocabulary bad = v;
    change(bad);
    EXPECT_EQ(error_of<FormatError>([&] { make_tokenizer(bad, "x.gguf"); }).where, where);
  };
  using V = TokenizerVocabulary;
  refused([](V& b) { b.pieces.clear(); }, "tokenizer.ggml.tokens");
  refused([](V& b) { b.types.pop_back(); }, "tokenizer.ggml.token_type");
  refused([](V& b) { b.types[0] = 9; }, "tokenizer.ggml.token_type");
  refused([](V& b) { b.eos_id = 4; }, "tokenizer.ggml.eos_token_id");
  refused([](V& b) { b.pre = "viking"; }, "tokenizer.ggml.pre");
  refused([](V& b) { b.model = "bert"; }, "tokenizer.ggml.model");
  refused([](V& b) { b.model = "llama"; }, "tokenizer.ggml.scores");
  refused([](V& b) { b.merges = {"a c"}; }, "model.merges");
}

// transformers' own examples of "legacy", and a text whose first piece could merge with what stands before
// it.
TEST(TokenizerGolden, TextBehindASpecialTokenIsContinuedWhereThatIsAsked) {
  const std::string model = std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no ../shared/data beside the checkout";
  const Folder folder;
  std::filesystem::copy_file(model, folder / "tokenizer.model");
  const auto ids = [&](bool legacy, const std::string& text) {
    folder.write("tokenizer_config.json", std::string(R"({"legacy": )") + (legacy ? "true}" : "false}"));
    return open_tokenizer(folder.path())->encode(text, {.add_special_tokens = true, .parse_special = true});
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ids(true, "Hello <s>."), (Ids{1, 15043, 29871, 1, 869}));
  EXPECT_EQ(ids(false, "Hello <s>."), (Ids{1, 15043, 29871, 1, 29889}));
  EXPECT_EQ(ids(false, "a<s>[INST]"), (Ids{1, 263, 1, 29961, 25580, 29962}));
}

}  // namespace
}  // namespace lethe
