// Tokenized data of a request that may yet be refused.
#pragma once

#include <filesystem>
#include <vector>

namespace lethe {

// Removes with itself the shards and folders that were not there when it was told of them, unless they are
// kept. Counting tokens needs the shards, and much of a request can only be checked once they are counted; a
// request that is refused then leaves nothing behind.
class NewShards {
 public:
  NewShards() = default;
  ~NewShards();
  NewShards(const NewShards&) = delete;
  NewShards& operator=(const NewShards&) = delete;

  // Before shards are written into `folder`.
  void expect(const std::filesystem::path& folder);
  void keep() { files_.clear(), folders_.clear(); }

 private:
  std::vector<std::filesystem::path> files_, folders_;  // folders: inner ones last
};

}  // namespace lethe
