#include "tools/run/new_shards.h"

#include <algorithm>
#include <system_error>

namespace lethe {

namespace fs = std::filesystem;

NewShards::~NewShards() {
  std::error_code ignored;
  for (const fs::path& file : files_) fs::remove(file, ignored);
  // A folder that others have put something in meanwhile is not empty and stays.
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) fs::remove(*folder, ignored);
}

void NewShards::expect(const fs::path& folder) {
  for (const char* name : {"train.tokens", "held_out.tokens"}) {
    if (!fs::exists(folder / name)) files_.push_back(folder / name);
  }
  std::vector<fs::path> missing;
  for (fs::path f = fs::absolute(folder); !fs::exists(f); f = f.parent_path()) missing.push_back(f);
  folders_.insert(folders_.end(), missing.rbegin(), missing.rend());
}

}  // namespace lethe
