// JSON records out of a file, one in memory at a time: JSONL, or the elements of one array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace lethe {

// What a record may be at most; more is refused. Files are not trusted: a small one can unpack without end.
struct JsonLimits {
  size_t record_bytes = size_t{64} << 20;
  int depth = 64;  // of objects and arrays inside each other
};

// Where the file's first character is "[" it is one array and its elements are the records; otherwise each
// line is one, and empty lines are passed over.
class JsonRecords {
 public:
  // Throws IoError when the file cannot be opened, FormatError when it is broken from its first bytes on.
  explicit JsonRecords(const std::string& path, const JsonLimits& limits = {});
  ~JsonRecords();
  JsonRecords(const JsonRecords&) = delete;
  JsonRecords& operator=(const JsonRecords&) = delete;

  // Goes to the next record; false at the end. Throws FormatError with file and line for what is not UTF-8,
  // not JSON or beyond the limits, IoError.
  bool next();
  nlohmann::json& record() { return record_; }
  int64_t line() const { return line_; }  // where the record begins, from 1

 private:
  class Reader;
  class Lines;
  class Elements;

  std::string path_;
  JsonLimits limits_;
  std::unique_ptr<Reader> reader_;
  std::string text_;
  nlohmann::json record_;
  int64_t line_ = 0;
};

// Whether a path's name, maybe with the ending of a compression, is that of JSONL: .jsonl or .ndjson.
bool is_jsonl(const std::string& path);

}  // namespace lethe
