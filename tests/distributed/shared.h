// What the ranks of a test share.
#pragma once

#include <memory>
#include <string>

#include "tests/comm/ranks.h"
#include "tests/files.h"

namespace lethe::test {

// The ranks, for what would own them.
inline std::shared_ptr<Comm> shared_ranks() {
  return {std::shared_ptr<void>(), &ranks()};
}

// The first rank's folder, on all ranks.
class SharedFolder {
 public:
  SharedFolder() : path_(gather_texts(ranks(), own_.path())[0]) {}
  ~SharedFolder() { ranks().barrier(); }
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  Folder own_;
  std::string path_;
};

}  // namespace lethe::test
