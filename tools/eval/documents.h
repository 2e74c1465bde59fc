// The documents of a benchmark: records of a JSONL file (plain or compressed), with their place for messages.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/tokenizer/json.h"

namespace lethe::eval {

class Documents {
 public:
  // Reads all of `file`. Throws IoError, FormatError for a record that is no object.
  static Documents read(const std::string& file);
  // Of the first of `names` that is in one of `folders`. Throws DataError naming what was looked for.
  static Documents find(const std::vector<std::string>& folders, const std::vector<std::string>& names,
                        const std::string& what_for);

  size_t size() const { return records_.size(); }
  const std::string& file() const { return file_; }
  const nlohmann::json& record(size_t i) const { return records_[i]; }
  // Whose accesses throw FormatError naming file, line and key.
  JsonPlace at(size_t i) const;
  // The first `count` alone, if there are more.
  void limit(size_t count);

 private:
  std::string file_;
  std::vector<nlohmann::json> records_;
  std::vector<int64_t> lines_;
};

// A whole number, or a text of digits, as copies of a data set have either.
int64_t integer_of(const JsonPlace& place, int64_t least, int64_t most);
std::vector<std::string> texts_of(const JsonPlace& place);

}  // namespace lethe::eval
