// Documents out of files: plain text, folders of it, JSONL, each also as .gz, .xz and .zst; and Parquet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lethe {

struct CorpusOptions {
  // Files and folders, in this order; a folder is walked recursively and its files sorted by path.
  std::vector<std::string> paths;
  // Which files of a folder count, such as {".txt", ".py"}; ".gz", ".xz" or ".zst" may follow. Empty: every
  // file that is not hidden. Files named in `paths` themselves always count.
  std::vector<std::string> extensions;
  // The key that holds the text in files named *.jsonl and *.ndjson, and the column in *.parquet.
  std::string json_key = "text";
  // Plain text only. 0: a file is a document. Above 0: a file is cut at blank lines into documents that end
  // at the first blank line after this many bytes.
  int64_t split_bytes = 0;
};

struct SourceFile {
  std::string path;
  int64_t size = 0;      // bytes on disk
  int64_t modified = 0;  // file clock, nanoseconds
};

struct Document {
  std::string text;        // valid UTF-8, line ends as they are in the file, never only white space
  const SourceFile* file;  // lives as long as the corpus
  int64_t line = 1;        // where it begins; of Parquet its row
};

struct CorpusCounts {
  int64_t documents = 0;
  int64_t bytes = 0;  // of text
};

class Corpus {
 public:
  // Finds the files, reads none. Throws ConfigError (split_bytes < 0, no path, an empty json_key) and
  // DataError (a path that is not there, a folder without a file that counts), naming the path.
  explicit Corpus(CorpusOptions options);

  const std::vector<SourceFile>& files() const { return files_; }
  const CorpusOptions& options() const { return options_; }
  // The paths as asked for, joined with ", ".
  std::string description() const;

  // Calls `visitor` for each document in order; one is in memory at a time. Documents of white space alone
  // are passed over. Throws FormatError with file and line (invalid UTF-8, malformed JSON, missing key, a
  // value that is no string), DataError naming the paths when there was no document at all, IoError.
  CorpusCounts visit(const std::function<void(Document&&)>& visitor) const;

 private:
  CorpusOptions options_;
  std::vector<SourceFile> files_;
};

}  // namespace lethe
