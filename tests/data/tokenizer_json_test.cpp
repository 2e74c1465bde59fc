// tokenizer.json: every component against what the reference library gave, and files that ask for what is not
// there.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <nlohmann/json.hpp>

#include "data/shards.h"
#include "data/tokenizer.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

using nlohmann::json;

const json& goldens() {
  static const json read =
      json::parse(read_bytes(LETHE_SOURCE_DIR "/tests/golden/tokenizers/components.json"));
  return read;
}

json document_of(const json& golden) {
  json document = golden.at("parts");
  document["model"] = goldens().at("vocabularies").at(golden.at("vocabulary").get<std::string>());
  document["model"].update(golden.at("model"));
  return document;
}

// What is said when the file is refused; nothing when it is not.
std::string refusal(const Folder& folder, const std::string& text) {
  const std::string path = folder.write("tokenizer.json", text);
  try {
    open_tokenizer(path);
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file, path);
    return error.what();
  }
  return "";
}

TEST(TokenizerJson, GivesTheReferenceIdsForEachComponent) {
  const Folder folder;
  const auto texts = goldens().at("texts").get<std::vector<std::string>>();
  size_t count = 0;
  for (const json& golden : goldens().at("cases")) {
    const auto name = golden.at("name").get<std::string>();
    const auto tokenizer = open_tokenizer(folder.write("tokenizer.json", document_of(golden).dump()));
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto ids = golden.at("ids")[i].get<std::vector<int32_t>>();
      const auto parsed = golden.at("parsed")[i].get<std::vector<int32_t>>();
      const auto where = name + ": " + json(texts[i]).dump();
      EXPECT_EQ(tokenizer->encode(texts[i], {.add_special_tokens = true, .drop_unknown = true}), ids)
          << where;
      EXPECT_EQ(tokenizer->encode(texts[i], {.parse_special = true, .drop_unknown = true}), parsed) << where;
      ++count;
      if (golden.at("decoded").empty()) continue;
      EXPECT_EQ(tokenizer->decode(parsed), golden.at("decoded")[i][0].get<std::string>()) << where;
      EXPECT_EQ(tokenizer->decode(parsed, false), golden.at("decoded")[i][1].get<std::string>()) << where;
    }
  }
  EXPECT_GT(count, 700u);
}

TEST(TokenizerJson, SavesWhatReadsBackTheSame) {
  const Folder folder;
  const auto first =
      open_tokenizer(folder.write("a/tokenizer.json", document_of(goldens().at("cases")[2]).dump()));
  first->save(folder / "b");
  const auto second = open_tokenizer(folder / "b");
  EXPECT_EQ(first->fingerprint(), second->fingerprint());
  EXPECT_EQ(first->encode("the theatre 12345"), second->encode("the theatre 12345"));
  json other = document_of(goldens().at("cases")[2]);
  other["model"]["ignore_merges"] = true;
  EXPECT_NE(open_tokenizer(folder.write("c.json", other.dump()))->fingerprint(), first->fingerprint());
}

TEST(TokenizerJson, TakesRolesFromItsConfig) {
  const Folder folder;
  json document = document_of(goldens().at("cases")[0]);
  const auto size = static_cast<int32_t>(document.at("model").at("vocab").size());
  document["added_tokens"] = {{{"id", size + 3}, {"content", "<|end|>"}, {"special", true}}};
  folder.write("m/tokenizer.json", document.dump());
  folder.write("m/tokenizer_config.json",
               R"({"eos_token": {"content": "<|end|>"}, "pad_token": "!", "bos_token": null})");
  const auto tokenizer = open_tokenizer(folder / "m");
  EXPECT_EQ(tokenizer->eos_id(), size + 3);
  EXPECT_EQ(tokenizer->bos_id(), -1);
  EXPECT_EQ(tokenizer->pad_id(), tokenizer->piece_id("!"));
  EXPECT_EQ(tokenizer->vocab_size(), size + 4);
  EXPECT_EQ(tokenizer->piece(size), "");
  EXPECT_TRUE(tokenizer->is_special(size + 3));
  EXPECT_THROW(tokenizer->decode(std::vector<int32_t>{size + 4}), DataError);
  EXPECT_THROW(tokenizer->encode("\xff"), DataError);
  folder.write("m/tokenizer_config.json", R"({"eos_token": "<nowhere>"})");
  const auto error = error_of<FormatError>([&] { open_tokenizer(folder / "m"); });
  EXPECT_EQ(error.where, "eos_token");
  EXPECT_NE(std::string(error.what()).find("<nowhere>"), std::string::npos);
}

TEST(TokenizerJson, RefusesCharactersThatNoPieceExpresses) {
  const Folder folder;
  const json document{{"model", {{"vocab", {{"a", 0}, {"b", 1}}}, {"merges", json::array()}}}};
  const auto tokenizer = open_tokenizer(folder.write("t.json", document.dump()));
  EXPECT_EQ(tokenizer->encode("abba"), (std::vector<int32_t>{0, 1, 1, 0}));
  for (int again = 0; again < 2; ++again) {
    EXPECT_NE(std::string(error_of<DataError>([&] { tokenizer->encode("acé"); }).what()).find("3 bytes"),
              std::string::npos);
    EXPECT_EQ(tokenizer->encode("acé", {.drop_unknown = true}), (std::vector<int32_t>{0}));
  }
}

TEST(TokenizerJson, NamesWhatItRefuses) {
  const Folder folder;
  const auto with = [&](const char* key, const json& value) {
    json document = document_of(goldens().at("cases")[0]);
    document[json::json_pointer(key)] = value;
    return refusal(folder, document.dump());
  };
  const auto named = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message << " does not name " << part;
  };
  const auto regex = [](const char* pattern) {
    return json{
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  named(with("/normalizer", {{"type", "Precompiled"}}), "normalizer.type: the normalizer Precompiled");
  named(with("/pre_tokenizer", {{"type", "BertPreTokenizer"}}), "the pre-tokenizer BertPreTokenizer");
  named(with("/post_processor", {{"type", "BertProcessing"}}), "the post-processor BertProcessing");
  named(with("/decoder", {{"type", "WordPiece"}}), "the decoder WordPiece");
  named(with("/model/type", "Unigram"), "the model Unigram");
  named(with("/model/dropout", 0.1), "dropout");
  named(with("/model/end_of_word_suffix", "</w>"), "end_of_word_suffix");
  named(with("/model/unk_token", "<none>"), "<none>");
  named(with("/model/merges", {"a b c"}), "merge 0");
  named(with("/model/merges", json::array({json::array({"a", "no such piece"})})),
        "\"no such piece\" is not in the vocabulary");
  named(with("/model/merges", json::array({json::array({"a", "Z"})})), "\"aZ\" is not in the vocabulary");
  named(with("/model/merges", {17}), "merge 0");
  named(with("/model/vocab/new", 99999999999), "99999999999");
  named(with("/model/vocab/new", -1), "-1");
  named(with("/model/vocab/new", 15000000), "15000000");
  named(with("/model/vocab/new", 0), "id 0 is given to");
  named(with("/model/vocab", json::object()), "vocabulary");
  named(with("/model/vocab", nullptr), "model.vocab");
  named(with("/added_tokens", {{{"id", 0}, {"content", "a"}}}), "added_tokens[0]");
  named(with("/version", "2.0"), "version 2.0");
  named(with("/pre_tokenizer", regex("^a")), "the anchor ^");
  named(with("/pre_tokenizer", regex("(?<=a)b")), "(?<=");
  named(with("/pre_tokenizer", regex("\\bfoo")), "\\b");
  named(with("/pre_tokenizer", regex("[a&&b]")), "&&");
  named(with("/pre_tokenizer", regex("(a")), "a group without its end");
  named(with("/pre_tokenizer", regex("\\p{Nonsense}")), "cannot be compiled");
  json unknown = regex("a");
  unknown["behavior"] = "Exploded";
  named(with("/pre_tokenizer", unknown), "Exploded");
  named(refusal(folder, ""), "not valid JSON");
  named(refusal(folder, "[]"), "object");
  named(refusal(folder, "{\"model\": {}}"), "vocab");
  named(refusal(folder, std::string(100000, '[')), "nested deeper");
  named(refusal(folder, R"({"version": "1.0", "version": "1.0"})"), "twice");
  std::string deep = R"({"type": "NFC"})";
  for (int i = 0; i < 40; ++i) deep = R"({"type": "Sequence", "normalizers": [)" + deep + "]}";
  named(refusal(folder, R"({"normalizer": )" + deep + "}"), "nested deeper");
}

TEST(TokenizerJson, GivesUpOnAnExpressionThatNeverEnds) {
  const Folder folder;
  json document = document_of(goldens().at("cases")[0]);
  document["pre_tokenizer"] = {{"type", "Split"},
                               {"pattern", {{"Regex", "(a|aa|aaa)+(?=b)"}}},
                               {"behavior", "Isolated"},
                               {"invert", false}};
  const auto tokenizer = open_tokenizer(folder.write("t.json", document.dump()));
  EXPECT_THROW(tokenizer->encode(std::string(200, 'a')), DataError);
}

TEST(TokenizerJson, LongWordsTakeNoQuadraticTime) {
  const auto tokenizer = [] {
    const Folder folder;
    return open_tokenizer(folder.write("t.json", document_of(goldens().at("cases")[2]).dump()));
  }();
  // With merges over all pairs again and again these would take minutes.
  for (const std::string& text :
       {std::string(1'000'000, ' '), std::string(300'000, 'a'), std::string(1'000'000, '\n')}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(TokenizerJson, EncodesACorpusTheSameWithAnyNumberOfThreads) {
  const Folder folder;
  const auto tokenizer = open_tokenizer(folder.write("t.json", document_of(goldens().at("cases")[2]).dump()));
  std::string lines;
  for (int i = 0; i < 400; ++i) {
    lines += json{{"text", fmt::format("the theatre {} of the other {}\n", i, i * i)}}.dump() + "\n";
  }
  const Corpus corpus({.paths = {folder.write("a.jsonl", lines)}});
  std::string shards[2];
  const int all = omp_get_max_threads();
  for (const int threads : {1, 4}) {
    omp_set_num_threads(threads);
    const std::string to = folder / std::to_string(threads);
    shards[threads == 4] = read_bytes(build_shards(corpus, *tokenizer, to, {.append_eos = false}).train.path);
  }
  omp_set_num_threads(all);
  EXPECT_EQ(shards[0], shards[1]);
}

TEST(Regex, IsTranslatedFromOniguruma) {
  EXPECT_EQ(to_pcre2("a{2}+b"), "(?:a{2})+b");
  EXPECT_EQ(to_pcre2("(ab){,3}"), "(?:ab){0,3}");
  EXPECT_EQ(to_pcre2("\\p{Han}\\p{^L}\\u00e9"), "\\p{sc:Han}\\p{^L}\\x{00e9}");
  EXPECT_THROW(to_pcre2("a{x}"), DataError);
  EXPECT_THROW(to_pcre2("a{2}?"), DataError);
  EXPECT_THROW(to_pcre2("[[:alpha:]]"), DataError);
  EXPECT_THROW(to_pcre2("a)"), DataError);
  EXPECT_THROW(to_pcre2("\\"), DataError);
}

TEST(Utf8, IsRepairedWithOneMarkForEachBrokenPart) {
  EXPECT_EQ(lossy_utf8("a\xF0\x9F\xA6"
                       "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(lossy_utf8("\xE0\x80\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(lossy_utf8("\xF0\x9F\xA6\x99\xFF"), "\xF0\x9F\xA6\x99\xEF\xBF\xBD");
}

}  // namespace
}  // namespace lethe
