#include "data/instruction_shards.h"

#include <nlohmann/json.hpp>

#include "data/packing.h"
#include "engine/error.h"
#include "tests/data/files.h"
#include "tests/data/pieces_tokenizer.h"

namespace lethe {
namespace {

const PiecesTokenizer& tokenizer() {
  static const PiecesTokenizer made({"<s>", "</s>"});
  return made;
}

// Q<question>A<answer></s>: of a one-letter question and answer 5 tokens, the last two of them targets.
ChatEncoder encoder(const std::string& suffix = "{eos}") {
  const nlohmann::json json = {
      {"name", "small"}, {"user", {{"prefix", "Q"}, {"suffix", "A"}}}, {"assistant", {{"suffix", suffix}}}};
  return {ChatTemplate::from_json(json, "small.json"), tokenizer()};
}

std::string records(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string text;
  for (const auto& [q, a] : pairs) text += nlohmann::json{{"prompt", q}, {"response", a}}.dump() + "\n";
  return text;
}

std::string document(const TokenShard& shard, int64_t index) {
  EncodedDocument found;
  for (int64_t t = shard.document_begin(index); t < shard.document_begin(index + 1); ++t) {
    int32_t id = 0;
    shard.read(t, 1, &id);
    found.ids.push_back(id);
    found.supervised.push_back(shard.supervised(t));
  }
  return example_text(tokenizer(), found);
}

TEST(InstructionShards, HoldEachExampleWithItsMask) {
  const Folder folder;
  const Corpus corpus({.paths = {folder.write("a.jsonl", records({{"x", "yz"}, {"u", ""}}))}});
  const InstructionShardOptions options{.most_tokens = 16};
  const ShardSet set = build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c", options);
  EXPECT_EQ(set.train.documents, 2);
  const TokenShard shard(set.train.path);
  EXPECT_TRUE(shard.header().masked);
  EXPECT_EQ(document(shard, 0), "QxA[[yz</s>]]");
  EXPECT_EQ(document(shard, 1), "QuA[[</s>]]");
  EXPECT_TRUE(build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c", options).reused);
  // All that changes a token or a target is another set.
  auto other = options;
  other.loss = ChatLoss::all;
  EXPECT_FALSE(build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c", other).reused);
  EXPECT_EQ(document(TokenShard(set.train.path), 0), "[[QxAyz</s>]]");
  EXPECT_FALSE(build_instruction_shards(corpus, encoder("!{eos}"), tokenizer(), folder / "c", other).reused);
}

TEST(InstructionShards, AskWhatBecomesOfLongExamples) {
  const Folder folder;
  const std::string path = folder.write(
      "a.jsonl",
      records(
          {{"x", "y"}, {"x", std::string(9, 'y')}, {std::string(9, 'x'), "y"}, {"x", std::string(3, 'y')}}));
  const Corpus corpus({.paths = {path}});
  const auto build = [&](TooLong too_long) {
    return TokenShard(build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c",
                                               {.too_long = too_long, .most_tokens = 7})
                          .train.path)
        .header();
  };
  const std::string why = error_of<DataError>([&] { build(TooLong::refuse); }).what();
  for (const std::string& part : {std::string("2 of 4 examples are longer"), path + ": line 2",
                                  std::string("has 13"), std::string("drop or cut")}) {
    EXPECT_NE(why.find(part), std::string::npos) << why;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "c"));
  const ShardHeader dropped = build(TooLong::drop);
  EXPECT_EQ(dropped.documents, 2);
  EXPECT_EQ(dropped.tokens, 5 + 7);
  EXPECT_EQ(dropped.dropped, 2);
  EXPECT_EQ(dropped.dropped_tokens, 13 + 13);
  EXPECT_EQ(dropped.cut, 0);
  // The long answer is cut; the long question has no answer left among its first tokens.
  const ShardHeader cut = build(TooLong::cut);
  EXPECT_EQ(cut.documents, 3);
  EXPECT_EQ(cut.tokens, 5 + 7 + 7);
  EXPECT_EQ(cut.cut, 1);
  EXPECT_EQ(cut.cut_tokens, 6);
  EXPECT_EQ(cut.dropped, 1);
  EXPECT_EQ(cut.dropped_tokens, 13);
}

TEST(InstructionShards, RefuseWhatNothingIsLearnedFrom) {
  const Folder folder;
  const std::string path = folder.write("a.jsonl", records({{"x", "y"}, {"x", ""}}));
  const auto build = [&](const std::string& suffix) {
    build_instruction_shards(Corpus({.paths = {path}}), encoder(suffix), tokenizer(), folder / "c",
                             {.most_tokens = 7});
  };
  const std::string empty = error_of<DataError>([&] { build(""); }).what();
  EXPECT_NE(empty.find(path + ": line 2: no token of this example is a target:\nQxA"), std::string::npos)
      << empty;
  const std::string endless = error_of<DataError>([&] { build("."); }).what();
  EXPECT_NE(endless.find("would not learn to stop"), std::string::npos) << endless;
  EXPECT_NE(endless.find("QxA[[y.]]"), std::string::npos) << endless;
  EXPECT_FALSE(std::filesystem::exists(folder / "c"));
}

TEST(InstructionShards, NameTheRecordThatTheTemplateHasNoFormFor) {
  const Folder folder;
  const std::string path = folder.write(
      "a.jsonl", records({{"x", "y"}}) +
                     R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},)"
                     R"( {"role": "assistant", "content": "a"}]})");
  const auto error = error_of<FormatError>([&] {
    build_instruction_shards(Corpus({.paths = {path}}), encoder(), tokenizer(), folder / "c",
                             {.most_tokens = 9});
  });
  EXPECT_EQ(error.file, path);
  EXPECT_EQ(error.where, "line 2");
  EXPECT_NE(std::string(error.what()).find("no place for a system message"), std::string::npos);
}

TEST(InstructionShards, PackExamplesWholeAndApart) {
  const Folder folder;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int i = 0; i < 300; ++i) {
    pairs.emplace_back(std::string(static_cast<size_t>(i * 7 % 11), 'q'),
                       std::string(static_cast<size_t>(i * 5 % 13), 'a'));
  }
  const Corpus corpus({.paths = {folder.write("a.jsonl", records(pairs))}});
  const ShardSet set =
      build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c", {.most_tokens = 32});
  const auto shard = std::make_shared<const TokenShard>(set.train.path);
  const auto rows = make_rows(shard, {.tokens_per_row = 32, .mode = RowMode::pack});
  int64_t examples = 0, targets = 0, tokens = 0;
  for (int64_t row = 0; row < rows->size(); ++row) {
    std::vector<int32_t> ids(32), labels(32), positions(32), starts(32);
    const int64_t used = rows->fill(row, {ids.data(), labels.data(), positions.data(), starts.data()});
    tokens += used;
    for (int64_t begin = 0, end = 0; begin < used; begin = end) {
      ASSERT_EQ(starts[begin], begin);
      while (end < used && starts[end] == begin) ++end;
      // Each piece is one whole example: Q...A...</s>, its labels its answer and its end, and nothing else.
      EXPECT_EQ(tokenizer().piece(ids[begin]), "Q");
      EXPECT_EQ(ids[end - 1], 1);
      bool answer = false;
      for (int64_t t = begin; t < end; ++t) {
        EXPECT_EQ(positions[t], t - begin);
        answer = answer || tokenizer().piece(ids[t]) == "A";
        const bool target = answer && t + 1 < end;
        EXPECT_EQ(labels[t], target ? ids[t + 1] : ignored_label);
        targets += target;
      }
      ++examples;
    }
    for (int64_t t = used; t < 32; ++t) EXPECT_EQ(labels[t], ignored_label);
  }
  EXPECT_EQ(examples, 300);
  EXPECT_EQ(targets, rows->counts().supervised);
  EXPECT_EQ(tokens, set.train.tokens);
  // 3 to 27 tokens in rows of 32: what one leaves another fills, but for the last rows of all.
  EXPECT_GT(rows->counts().efficiency(), 0.97);
  for (const RowOptions bad :
       {RowOptions{.tokens_per_row = 32, .mode = RowMode::stream},
        RowOptions{.tokens_per_row = 32, .mode = RowMode::pack, .document_mask = false}}) {
    EXPECT_THROW(make_rows(shard, bad), ConfigError);
  }
}

TEST(InstructionShards, SplitByWhatIsSaid) {
  const Folder folder;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int i = 0; i < 200; ++i) pairs.emplace_back(std::to_string(i / 2), "a");  // each one twice
  const Corpus corpus({.paths = {folder.write("a.jsonl", records(pairs))}});
  const ShardSet set = build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c",
                                                {.most_tokens = 32, .held_out = 0.2});
  EXPECT_EQ(set.train.documents + set.held_out.documents, 200);
  std::set<std::string> trained;
  const TokenShard train(set.train.path), held_out(set.held_out.path);
  for (int64_t i = 0; i < train.documents(); ++i) trained.insert(document(train, i));
  for (int64_t i = 0; i < held_out.documents(); ++i) EXPECT_FALSE(trained.contains(document(held_out, i)));
  EXPECT_GT(held_out.documents(), 10);
}

TEST(InstructionShards, AMaskThatIsCutOffIsFound) {
  const Folder folder;
  const Corpus corpus({.paths = {folder.write("a.jsonl", records({{"x", "y"}}))}});
  const ShardSet set =
      build_instruction_shards(corpus, encoder(), tokenizer(), folder / "c", {.most_tokens = 32});
  const std::string bytes = read_bytes(set.train.path);
  EXPECT_THROW(TokenShard(folder.write("cut.tokens", bytes.substr(0, bytes.size() - 8))), FormatError);
}

// GSM8K as it is published, under Llama-2's tokenizer: every question of the set, each ending in a learned
// EOS.
TEST(InstructionShards, TakeGsm8k) {
  const std::string shared = LETHE_SHARED_DATA, file = shared + "/ift/gsm8k_train.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no ../shared/data beside the checkout";
  const Folder folder;
  const auto llama = load_sentencepiece(shared + "/tokenizers/llama2.tokenizer.model");
  const ChatEncoder alpaca(ChatTemplate::built_in("alpaca"), *llama);
  const ShardSet set = build_instruction_shards(
      Corpus({.paths = {file}}), alpaca, *llama, folder / "c",
      {.records = {.prompt_key = "question", .response_key = "answer"}, .most_tokens = 1024});
  EXPECT_EQ(set.train.documents, 7473);
  const auto shard = std::make_shared<const TokenShard>(set.train.path);
  for (int64_t i = 0; i < shard->documents(); ++i) {
    int32_t first = 0, last = 0;
    const int64_t begin = shard->document_begin(i), end = shard->document_begin(i + 1);
    shard->read(begin, 1, &first);
    shard->read(end - 1, 1, &last);
    ASSERT_EQ(first, llama->bos_id());
    ASSERT_EQ(last, llama->eos_id());
    ASSERT_TRUE(shard->supervised(end - 1));
    ASSERT_FALSE(shard->supervised(begin + 1));
  }
  const auto rows = make_rows(shard, {.tokens_per_row = 1024, .mode = RowMode::pack});
  EXPECT_GT(rows->counts().efficiency(), 0.995);
}

}  // namespace
}  // namespace lethe
