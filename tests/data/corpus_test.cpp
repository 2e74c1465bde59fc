#include "data/corpus.h"

#include <zlib.h>

#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

std::vector<std::string> texts(const CorpusOptions& options) {
  std::vector<std::string> found;
  Corpus(options).visit([&](Document&& document) { found.push_back(document.text); });
  return found;
}

void write_gzip(const std::string& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

TEST(Corpus, ReadsAFileAsOneDocumentAndKeepsItsLineEnds) {
  const Folder folder;
  const std::string text = "one\r\n\r\ntwo\n\tthree";
  EXPECT_EQ(texts({.paths = {folder.write("a.txt", text)}}), std::vector{text});
}

TEST(Corpus, CutsAFileAtBlankLinesOnceADocumentIsLongEnough) {
  const Folder folder;
  const std::string path = folder.write("a.txt", "aa\n\nbb\n\n\ncc\ndd\n \nee");
  EXPECT_EQ(texts({.paths = {path}, .split_bytes = 1}),
            (std::vector<std::string>{"aa\n\n", "bb\n\n\n", "cc\ndd\n \n", "ee"}));
  EXPECT_EQ(texts({.paths = {path}, .split_bytes = 5}),
            (std::vector<std::string>{"aa\n\nbb\n\n\n", "cc\ndd\n \n", "ee"}));
  EXPECT_EQ(texts({.paths = {path}, .split_bytes = 1000}).size(), 1u);
}

TEST(Corpus, WalksAFolderSortedByPathAndPassesHiddenFilesOver) {
  const Folder folder;
  folder.write("b.txt", "B");
  folder.write("a/z.txt", "Z");
  folder.write("a/y.py", "Y");
  folder.write(".hidden/x.txt", "X");
  folder.write(".x.txt", "X");
  write_gzip(folder / "c.txt.gz", "C");
  EXPECT_EQ(texts({.paths = {folder.path()}}), (std::vector<std::string>{"Y", "Z", "B", "C"}));
  EXPECT_EQ(texts({.paths = {folder.path()}, .extensions = {".txt"}}),
            (std::vector<std::string>{"Z", "B", "C"}));
}

TEST(Corpus, ReadsJsonLinesAlsoCompressed) {
  const Folder folder;
  const std::string lines =
      "{\"text\": \"caf\\u00e9\\n\", \"n\": 1}\n\n{\"text\": \"two\"}\r\n{\"text\": \"\"}";
  write_gzip(folder / "a.jsonl.gz", lines);
  folder.write("a.jsonl", lines);
  const std::vector<std::string> expected = {"café\n", "two"};
  EXPECT_EQ(texts({.paths = {folder / "a.jsonl"}}), expected);
  EXPECT_EQ(texts({.paths = {folder / "a.jsonl.gz"}}), expected);
  folder.write("b.jsonl", "{\"body\": \"three\"}");
  EXPECT_EQ(texts({.paths = {folder / "b.jsonl"}, .json_key = "body"}), std::vector<std::string>{"three"});
}

TEST(Corpus, CountsDocumentsAndBytesAndSaysWhereTheyBegin) {
  const Folder folder;
  folder.write("a.txt", "é\n\nx");
  folder.write("empty.txt", "");
  folder.write("white.txt", " \n\t\n");
  std::vector<int64_t> lines;
  const Corpus corpus({.paths = {folder.path()}, .split_bytes = 1});
  EXPECT_EQ(corpus.files().size(), 3u);
  const CorpusCounts counts = corpus.visit([&](Document&& document) { lines.push_back(document.line); });
  EXPECT_EQ(counts.documents, 2);
  EXPECT_EQ(counts.bytes, 5);
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 3}));
}

// Written by pyarrow (tests/golden/parquet/make.py). A build without Arrow says so.
TEST(Corpus, ReadsTheTextsOfParquet) {
  const std::string folder = std::string(LETHE_SOURCE_DIR) + "/tests/golden/parquet/";
  try {
    EXPECT_EQ(texts({.paths = {folder + "texts.parquet"}}),
              (std::vector<std::string>{"one", "zwei\nz\u00e4hlt", "three"}));
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("made without Apache Arrow"), std::string::npos) << error.what();
    GTEST_SKIP() << "this build has no Arrow";
  }
  const auto refusal = [&](const std::string& name, const std::string& column) {
    return error_of<FormatError>([&] { texts({.paths = {folder + name}, .json_key = column}); });
  };
  EXPECT_EQ(refusal("texts.parquet", "body").where, "body");
  EXPECT_NE(std::string(refusal("texts.parquet", "body").what()).find("there are text, number"),
            std::string::npos);
  EXPECT_EQ(refusal("texts.parquet", "number").where, "number");
  EXPECT_EQ(refusal("null.parquet", "text").where, "row 2");
  const Folder own;
  const std::string whole = read_bytes(folder + "texts.parquet");
  EXPECT_THROW(texts({.paths = {own.write("cut.parquet", whole.substr(0, whole.size() / 2))}}), FormatError);
}

TEST(Corpus, ReadsADocumentLongerThanAnyBuffer) {
  const Folder folder;
  const std::string text(3'000'001, 'x');
  EXPECT_EQ(texts({.paths = {folder.write("a.txt", text)}}), std::vector{text});
}

// Each bad file with the line that the error must name and words of its message.
struct BadFile {
  std::string name, bytes, line, words;
};

class CorpusRefuses : public testing::TestWithParam<BadFile> {};

TEST_P(CorpusRefuses, NamingFileAndLine) {
  const Folder folder;
  const std::string path = folder.write(GetParam().name, GetParam().bytes);
  const auto error = error_of<FormatError>([&] { texts({.paths = {path}}); });
  EXPECT_EQ(error.file, path);
  EXPECT_EQ(error.where, GetParam().line);
  EXPECT_NE(std::string(error.what()).find(GetParam().words), std::string::npos) << error.what();
}

INSTANTIATE_TEST_SUITE_P(
    BadFiles, CorpusRefuses,
    testing::Values(
        BadFile{"a.txt", "good\nbad \xff here\n", "line 2", "not valid UTF-8: byte 5 of the line is 0xff"},
        BadFile{"a.txt", "cut \xc3", "line 1", "not valid UTF-8"},
        BadFile{"a.txt", "surrogate \xed\xa0\x80", "line 1", "not valid UTF-8"},
        BadFile{"a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n", "line 2", "not valid UTF-8"},
        BadFile{"a.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \n", "line 3", "not valid JSON"},
        BadFile{"a.jsonl", "{\"text\": \"\\ud800\"}", "line 1", "not valid JSON"},
        BadFile{"a.jsonl", "{\"body\": \"a\"}", "line 1", "no key \"text\""},
        BadFile{"a.jsonl", "{\"text\": 7}", "line 1", "must be a string, found number"},
        BadFile{"a.jsonl", "[\"text\"]", "line 1", "object expected, found string"}));

TEST(Corpus, RefusesATruncatedGzipFile) {
  const Folder folder;
  write_gzip(folder / "whole.gz", std::string(100000, 'x') + "end");
  const std::string bytes = read_bytes(folder / "whole.gz");
  const std::string path = folder.write("cut.txt.gz", bytes.substr(0, bytes.size() - 12));
  const auto error = error_of<FormatError>([&] { texts({.paths = {path}}); });
  EXPECT_EQ(error.file, path);
  EXPECT_NE(std::string(error.what()).find("gzip"), std::string::npos) << error.what();
}

TEST(Corpus, RefusesAnEmptyCorpusNamingItsPath) {
  const Folder folder;
  const std::string path = folder.write("empty.txt", "");
  auto error = error_of<DataError>([&] { texts({.paths = {path}}); });
  EXPECT_EQ(error.what(), path + ": empty corpus, no document with text in 1 file");
  const std::string json = folder.write("empty.jsonl", "\n\n");
  EXPECT_THROW(texts({.paths = {json}}), DataError);
  EXPECT_THROW(Corpus({.paths = {folder.path()}, .extensions = {".md"}}), DataError);
  error = error_of<DataError>([&] { Corpus({.paths = {folder / "nowhere"}}); });
  EXPECT_EQ(error.what(), folder / "nowhere" + ": no such file or folder");
}

TEST(Corpus, RefusesOptionsOutOfRange) {
  const Folder folder;
  const std::string path = folder.write("a.txt", "a");
  EXPECT_EQ(error_of<ConfigError>([&] { Corpus({}); }).key, "data.paths");
  EXPECT_EQ(error_of<ConfigError>([&] { Corpus({.paths = {path}, .split_bytes = -1}); }).key,
            "data.split_bytes");
  EXPECT_EQ(error_of<ConfigError>([&] { Corpus({.paths = {path}, .json_key = ""}); }).key, "data.json_key");
}

}  // namespace
}  // namespace lethe
