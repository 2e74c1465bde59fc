#include "data/shards.h"

#include <omp.h>

#include <atomic>
#include <cstring>
#include <set>

#include "data/token_shard.h"
#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

// A byte is an id, after BOS and EOS: easy to check by eye.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::string name = "bytes", int64_t vocab_size = 258)
      : name_(std::move(name)), vocab_size_(vocab_size) {}
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions&) const override {
    ++encoded;
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(2 + static_cast<unsigned char>(c));
    return ids;
  }
  std::string decode(std::span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id >= 2) text.push_back(static_cast<char>(id - 2));
    }
    return text;
  }
  int64_t vocab_size() const override { return vocab_size_; }
  int32_t bos_id() const override { return 0; }
  int32_t eos_id() const override { return 1; }
  int32_t unk_id() const override { return -1; }
  int32_t pad_id() const override { return -1; }
  std::vector<int32_t> prefix_ids() const override { return {}; }
  std::vector<int32_t> suffix_ids() const override { return {}; }
  std::string piece(int32_t) const override { return ""; }
  int32_t piece_id(std::string_view) const override { return -1; }
  bool is_special(int32_t id) const override { return id < 2; }
  void save(const std::string&) const override {}
  std::string fingerprint() const override { return name_; }

  mutable std::atomic<int> encoded = 0;

 private:
  std::string name_;
  int64_t vocab_size_;
};

std::string document_text(const TokenShard& shard, int64_t index) {
  std::vector<int32_t> ids(shard.document_begin(index + 1) - shard.document_begin(index));
  shard.read(shard.document_begin(index), std::ssize(ids), ids.data());
  return ByteTokenizer().decode(ids, true);
}

std::vector<std::string> texts_of(const std::string& path) {
  const TokenShard shard(path);
  std::vector<std::string> texts;
  for (int64_t i = 0; i < shard.documents(); ++i) texts.push_back(document_text(shard, i));
  return texts;
}

Corpus numbered(const Folder& folder, int count, const std::string& name = "a.jsonl") {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
  return Corpus({.paths = {folder.write(name, lines)}});
}

TEST(TokenShard, GivesBackWhatWasWritten) {
  const Folder folder;
  const auto shard = shard_of(folder, {{1, 2, 3}, {4}, {5, 99}});
  EXPECT_EQ(shard->tokens(), 6);
  EXPECT_EQ(shard->documents(), 3);
  EXPECT_EQ(shard->header().tokenizer, "test");
  std::vector<int32_t> ids(6);
  shard->read(0, 6, ids.data());
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 3, 4, 5, 99}));
  std::vector<int64_t> owners;
  for (int64_t token = 0; token < 6; ++token) owners.push_back(shard->document_of(token));
  EXPECT_EQ(owners, (std::vector<int64_t>{0, 0, 0, 1, 2, 2}));
  EXPECT_EQ(std::filesystem::file_size(shard->path()), 4096u + 16u + 4u * 8u);
}

TEST(TokenShard, TakesFourBytesAnIdBeyond65536) {
  const Folder folder;
  const auto narrow = shard_of(folder, {{65535}}, 65536, "narrow.tokens");
  const auto wide = shard_of(folder, {{65536, 70000}}, 70001, "wide.tokens");
  EXPECT_FALSE(narrow->header().wide());
  EXPECT_TRUE(wide->header().wide());
  int32_t ids[2] = {};
  narrow->read(0, 1, ids);
  EXPECT_EQ(ids[0], 65535);
  wide->read(0, 2, ids);
  EXPECT_EQ(ids[1], 70000);
}

TEST(TokenShard, HoldsNoDocumentsToo) {
  const Folder folder;
  const auto shard = shard_of(folder, {});
  EXPECT_EQ(shard->tokens(), 0);
  EXPECT_EQ(shard->documents(), 0);
}

TEST(TokenShard, RefusesAnotherTokenizer) {
  const Folder folder;
  const std::string path = shard_of(folder, {{1}})->path();
  EXPECT_NO_THROW(TokenShard(path, "test"));
  EXPECT_EQ(error_of<DataError>([&] { TokenShard(path, "other"); }).what(),
            path + ": made with tokenizer test, this is other");
  EXPECT_THROW(TokenShard(folder / "none.tokens"), DataError);
}

TEST(TokenShard, RefusesAFileCutAnywhere) {
  const Folder folder;
  const std::string bytes = read_bytes(shard_of(folder, {{1, 2, 3}, {4, 5, 6}})->path());
  for (const size_t kept :
       {size_t{0}, size_t{7}, size_t{100}, size_t{4096}, bytes.size() - 24, bytes.size() - 1}) {
    const std::string path = folder.write("cut.tokens", bytes.substr(0, kept));
    EXPECT_EQ(error_of<FormatError>([&] { TokenShard shard(path); }).file, path) << kept;
  }
  EXPECT_THROW(TokenShard(folder.write("long.tokens", bytes + "x")), FormatError);
}

TEST(TokenShard, RefusesAHeaderThatLies) {
  const Folder folder;
  const std::string bytes = read_bytes(shard_of(folder, {{1, 2, 3}, {4, 5, 6}})->path());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    changed.replace(changed.find(from), from.size(), to);
    return folder.write("lying.tokens", changed);
  };
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"tokens\":6", "\"tokens\":9"},
           {"\"tokens\":6", "\"tokens\":5"},  // still the same padded length: the offsets tell
           {"\"documents\":2", "\"documents\":3"},
           {"\"documents\":2", "\"documents\":0"},
           {"\"format\":1", "\"format\":2"},
           {"\"tokens\":6", "\"Tokens\":6"},
           {"\"tokenizer\"", "\"tokenizer "},
           {"LETHETOK", "LETHETOO"}}) {
    const std::string path = with(from, to);
    EXPECT_EQ(error_of<FormatError>([&] { TokenShard shard(path); }).file, path) << from << to;
  }
  std::string changed = bytes;
  changed[9] = '\x7f';  // a header longer than its place
  EXPECT_THROW(TokenShard(folder.write("lying.tokens", changed)), FormatError);
  changed = bytes;
  changed[bytes.size() - 16] = 0;  // the second document begins where the first does
  EXPECT_EQ(error_of<FormatError>([&] { TokenShard(folder.write("lying.tokens", changed)); }).where,
            "document 0");
}

TEST(TokenShard, RefusesAnIdOutsideTheVocabulary) {
  const Folder folder;
  std::string bytes = read_bytes(shard_of(folder, {{1, 2, 3}})->path());
  bytes[4096 + 2] = 100;
  const TokenShard shard(folder.write("bad.tokens", bytes));
  int32_t ids[3] = {};
  EXPECT_EQ(error_of<FormatError>([&] { shard.read(0, 3, ids); }).where, "token 1");
  EXPECT_THROW(shard_of(folder, {{100}}), DataError);
  EXPECT_THROW(shard_of(folder, {{-1}}), DataError);
  EXPECT_THROW(shard_of(folder, {{}}), DataError);
}

TEST(BuildShards, KeepsOrderAndAddsEos) {
  const Folder folder;
  const ByteTokenizer tokenizer;
  int64_t told = 0;
  const ShardSet set = build_shards(numbered(folder, 500), tokenizer, folder / "deep/cache",
                                    {.prepend_bos = true}, [&](int64_t bytes) { told = bytes; });
  EXPECT_FALSE(set.reused);
  EXPECT_EQ(set.train.documents, 500);
  EXPECT_TRUE(set.held_out.path.empty());
  const TokenShard shard(set.train.path, "bytes");
  EXPECT_EQ(told, shard.tokens() - 1000);
  for (int64_t i = 0; i < 500; ++i) {
    EXPECT_EQ(document_text(shard, i), "document " + std::to_string(i));
    int32_t ends[2] = {};
    shard.read(shard.document_begin(i), 1, ends);
    shard.read(shard.document_begin(i + 1) - 1, 1, ends + 1);
    EXPECT_EQ(ends[0], 0);
    EXPECT_EQ(ends[1], 1);
  }
}

TEST(BuildShards, WritesTheSameBytesWhateverTheThreads) {
  const Folder folder;
  const ByteTokenizer tokenizer;
  const Corpus corpus = numbered(folder, 300);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = build_shards(corpus, tokenizer, folder / "1", {.held_out = 0.2});
  omp_set_num_threads(4);
  const auto four = build_shards(corpus, tokenizer, folder / "4", {.held_out = 0.2});
  omp_set_num_threads(before);
  EXPECT_EQ(read_bytes(one.train.path), read_bytes(four.train.path));
  EXPECT_EQ(read_bytes(one.held_out.path), read_bytes(four.held_out.path));
}

TEST(BuildShards, UsesTheCacheUntilSomethingChanges) {
  const Folder folder;
  const Corpus corpus = numbered(folder, 50);
  const std::string cache = folder / "cache";
  const ByteTokenizer tokenizer;
  const ShardOptions options{.held_out = 0.3};
  const ShardSet first = build_shards(corpus, tokenizer, cache, options);
  const int encoded = tokenizer.encoded;
  const ShardSet second = build_shards(corpus, tokenizer, cache, options);
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(tokenizer.encoded, encoded);
  EXPECT_EQ(second.train.tokens, first.train.tokens);
  EXPECT_EQ(second.held_out.documents, first.held_out.documents);

  EXPECT_FALSE(build_shards(corpus, tokenizer, cache, {.held_out = 0.3, .seed = 1}).reused);
  EXPECT_FALSE(build_shards(corpus, tokenizer, cache, options).reused);
  EXPECT_FALSE(build_shards(corpus, ByteTokenizer("other"), cache, options).reused);
  EXPECT_FALSE(build_shards(numbered(folder, 51), tokenizer, cache, options).reused);
  EXPECT_TRUE(
      build_shards(numbered(folder, 51, "b.jsonl"), tokenizer, folder / "b", options).train.documents > 0);

  const Corpus grown = numbered(folder, 52);
  const ShardSet whole = build_shards(grown, tokenizer, cache, options);
  std::filesystem::resize_file(whole.train.path, 5000);
  EXPECT_FALSE(build_shards(grown, tokenizer, cache, options).reused) << "a damaged shard was used";
  std::filesystem::remove(whole.held_out.path);
  EXPECT_FALSE(build_shards(grown, tokenizer, cache, options).reused) << "half a set was used";
  EXPECT_TRUE(build_shards(grown, tokenizer, cache, options).reused);
}

TEST(BuildShards, HoldsDocumentsOutByTheirText) {
  const Folder folder;
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    lines += "{\"text\": \"document " + std::to_string(i % 1000) + "\"}\n";  // each twice
  }
  const Corpus corpus({.paths = {folder.write("a.jsonl", lines)}});
  const ShardSet set = build_shards(corpus, ByteTokenizer(), folder / "cache", {.held_out = 0.1, .seed = 3});
  const auto train = texts_of(set.train.path), held_out = texts_of(set.held_out.path);
  EXPECT_EQ(train.size() + held_out.size(), 2000u);
  const std::set<std::string> seen(train.begin(), train.end());
  for (const std::string& text : held_out) EXPECT_EQ(seen.count(text), 0u) << text;
  // 1000 texts at 0.1: standard deviation 9.5 texts, so 5 of them on each side.
  EXPECT_NEAR(static_cast<double>(held_out.size()) / 2, 100, 48);
  for (const std::string& text : held_out) EXPECT_TRUE(is_held_out(text, {.held_out = 0.1, .seed = 3}));
}

TEST(BuildShards, RefusesAndLeavesNothingBehind) {
  const Folder folder;
  const ByteTokenizer tokenizer;
  const Corpus corpus = numbered(folder, 1);
  const std::string cache = folder / "new/cache";
  EXPECT_EQ(error_of<ConfigError>([&] { build_shards(corpus, tokenizer, cache, {.held_out = 1.0}); }).key,
            "data.held_out");
  const auto lonely = error_of<DataError>([&] { build_shards(corpus, tokenizer, cache, {.held_out = 0.5}); });
  EXPECT_NE(std::string(lonely.what()).find("of 1 documents"), std::string::npos) << lonely.what();
  const Corpus bad({.paths = {folder.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}")}});
  EXPECT_EQ(error_of<FormatError>([&] { build_shards(bad, tokenizer, cache, {}); }).where, "line 2");
  EXPECT_THROW(build_shards(corpus, ByteTokenizer("small", 50), cache, {}), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));

  const std::string file = folder.write("file", "");
  EXPECT_THROW(build_shards(corpus, tokenizer, file, {}), IoError);
}

}  // namespace
}  // namespace lethe
