// A file that is there whole or not at all: written under a temporary name, synced, renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lethe {

class AtomicFile {
 public:
  // Creates `path` + ".partial", and the folders above it. Throws IoError.
  explicit AtomicFile(const std::string& path);
  // Without commit(), removes what was written and the folders made for it.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends. Throws IoError (a full disk too).
  void write(const void* bytes, size_t count);
  // Overwrites bytes already written, from `offset` on.
  void write_at(int64_t offset, const void* bytes, size_t count);
  int64_t size() const { return size_; }

  // Syncs the bytes, gives the file its name, syncs the folder. Throws IoError.
  void commit();

 private:
  void discard();

  std::string path_, temporary_;
  std::vector<std::string> made_;  // folders, outermost first
  int file_ = -1;
  int64_t size_ = 0;
};

}  // namespace lethe
