#include "data/json_records.h"

#include "data/instructions.h"
#include "engine/error.h"
#include "tests/data/compress.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

using Records = std::vector<std::pair<std::string, int64_t>>;

Records records_of(const std::string& path, const JsonLimits& limits = {}) {
  Records found;
  for (JsonRecords records(path, limits); records.next();) {
    found.emplace_back(records.record().dump(), records.line());
  }
  return found;
}

FormatError refusal_of(const std::string& path, const JsonLimits& limits = {}) {
  return error_of<FormatError>([&] { records_of(path, limits); });
}

TEST(JsonRecords, AreTheLinesOfAFile) {
  const Folder folder;
  const std::string text = "{\"a\":1}\r\n\n  \n{\"b\":[2,\"x\\n\"]}";
  const Records expected = {{"{\"a\":1}", 1}, {"{\"b\":[2,\"x\\n\"]}", 4}};
  EXPECT_EQ(records_of(folder.write("a.jsonl", text)), expected);
  EXPECT_EQ(records_of(folder.write("a.jsonl.zst", zstd_of(text))), expected);
  EXPECT_EQ(records_of(folder.write("b.jsonl", "\xef\xbb\xbf" + text)), expected);  // with a byte order mark
  EXPECT_TRUE(records_of(folder.write("c.jsonl", "\n\n")).empty());
}

TEST(JsonRecords, AreTheElementsOfAnArray) {
  const Folder folder;
  const std::string text = "\n[ {\"a\": \"],[\\\"\"},\n{\"b\":\n[1, [2]]}\n, 3 ]\n\n";
  const Records expected = {{"{\"a\":\"],[\\\"\"}", 2}, {"{\"b\":[1,[2]]}", 3}, {"3", 5}};
  EXPECT_EQ(records_of(folder.write("a.json", text)), expected);
  EXPECT_EQ(records_of(folder.write("a.json.xz", xz_of(text))), expected);
  EXPECT_TRUE(records_of(folder.write("e.json", "[ ]")).empty());
}

TEST(JsonRecords, NameFileAndLineOfWhatIsNotJson) {
  const Folder folder;
  const struct {
    std::string text, where;
  } cases[] = {
      {"{\"a\":1}\n{\"a\":", "line 2"},            // a line that stops
      {"{\"a\":1}{\"a\":2}\n", "line 1"},          // two in one
      {"{\"a\":1}\n\n{'a':1}\n", "line 3"},        // not JSON's quotes
      {"{\"a\":\"\\ud800\"}\n", "line 1"},         // half a surrogate pair
      {"{\"a\":\"\xff\"}\n", "line 1"},            // not UTF-8
      {"{\"a\":\"x\ty\"}\n", "line 1"},            // a control character
      {std::string("{\"a\":\0}\n", 8), "line 1"},  // a NUL
      {"{\"a\":1e999999}\n", "line 1"},            // beyond any double
      {"{\"a\":NaN}\n", "line 1"},
      {"[1,\n2", "line 2"},
      {"[1,\n]", "line 2"},
      {"[1]\n2", "line 2"},
      {"[{\"a\":\n\"\xc3\"}]", "line 1"},
      {"[1}2]", "line 1"},
      {"[\"a]", "line 1"},
  };
  for (const auto& c : cases) {
    const std::string path = folder.write("bad.json", c.text);
    const FormatError error = refusal_of(path);
    EXPECT_EQ(error.file, path);
    EXPECT_EQ(error.where, c.where) << c.text;
  }
}

TEST(JsonRecords, QuoteLittleOfALongRecord) {
  const Folder folder;
  std::string text = "{\"a\":\"";
  for (int i = 0; i < 100000; ++i) text += "\u00e4";
  const FormatError error = refusal_of(folder.write("long.jsonl", text));
  EXPECT_LT(std::string(error.what()).size(), folder.path().size() + 400);
}

TEST(JsonRecords, RefuseWhatIsNestedTooDeeply) {
  const Folder folder;
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(records_of(folder.write("a.jsonl", "{\"a\":" + nested(60) + "}")));
  for (const size_t depth : {size_t{70}, size_t{1'000'000}}) {
    const FormatError error = refusal_of(folder.write("b.jsonl", "{\"a\":" + nested(depth) + "}"));
    EXPECT_NE(std::string(error.what()).find("deeper than 64"), std::string::npos) << error.what();
    EXPECT_THROW(records_of(folder.write("b.json", "[{\"a\":" + nested(depth) + "}]")), FormatError);
  }
}

// Some kB that unpack to 50 MB of one record: given up after record_bytes of it.
TEST(JsonRecords, RefuseRecordsWithoutEnd) {
  const Folder folder;
  const JsonLimits limits{.record_bytes = 1 << 20};
  for (const std::string start : {"{\"a\":\"", "[{\"a\":\"", "[", "{\"a\":1}\n{\"b\":\""}) {
    const std::string path = folder.write("bomb.jsonl.zst", zstd_of(start + std::string(50'000'000, '1')));
    const FormatError error = refusal_of(path, limits);
    EXPECT_NE(std::string(error.what()).find("longer than 1048576 bytes"), std::string::npos) << error.what();
    EXPECT_EQ(error.where, start.find('\n') == std::string::npos ? "line 1" : "line 2");
  }
}

TEST(JsonRecords, GiveUpOnATruncatedStream) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "{\"a\":" + std::to_string(i * 7919 % 10007) + "}\n";
  const std::string packed = zstd_of(text);
  EXPECT_THROW(records_of(folder.write("cut.jsonl.zst", packed.substr(0, packed.size() - 3))), FormatError);
  EXPECT_THROW(records_of(folder / "none.jsonl"), IoError);
}

// What the fuzzer starts from: hostile files, each of which ends in records or in an error of ours.
TEST(JsonRecords, SurviveHostileFiles) {
  int files = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(LETHE_SOURCE_DIR) +
                                                               "/tests/fuzz/seeds/json_records")) {
    ++files;
    try {
      JsonRecords records(entry.path().string(), {.record_bytes = 1 << 20});
      while (records.next()) read_conversation(records.record(), {}, "f", records.line());
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GE(files, 16);
  EXPECT_EQ(files - refused, 6);  // lines, array, with a mark, and three times compressed
}

TEST(JsonRecords, AreToldByTheirNames) {
  for (const char* name : {"a.jsonl", "a.ndjson.gz", "a.jsonl.xz", "x/a.jsonl.zst"})
    EXPECT_TRUE(is_jsonl(name));
  for (const char* name : {"a.json", "a.jsonl.txt", "jsonl", "a.txt.gz"}) EXPECT_FALSE(is_jsonl(name));
}

}  // namespace
}  // namespace lethe
