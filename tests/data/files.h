// Files for the tests of this room.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "data/shard_writer.h"

namespace lethe {

// A folder of its own for one test, removed at its end.
class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = std::filesystem::path(testing::TempDir()) /
            ("lethe_data_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

  std::string write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The error of type E that `work` throws; a failure when it throws none.
template <class E>
E error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const E& error) {
    return error;
  }
  throw std::logic_error("no error of the expected type was thrown");
}

// A shard of the documents given.
inline std::shared_ptr<const TokenShard> shard_of(const Folder& folder,
                                                  const std::vector<std::vector<int32_t>>& documents,
                                                  int64_t vocab_size = 100,
                                                  const std::string& name = "t.tokens") {
  ShardHeader header;
  header.tokenizer = "test";
  header.vocab_size = vocab_size;
  ShardWriter writer(folder / name, header);
  for (const auto& document : documents) writer.append(document);
  writer.commit();
  return std::make_shared<TokenShard>(folder / name);
}

}  // namespace lethe
