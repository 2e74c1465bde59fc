// A file that grows over several runs of the program, and the lock that keeps them apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lethe {

// Opened with what it holds, and kept when the object goes. Every function throws IoError.
class PartialFile {
 public:
  // Makes the folder too.
  explicit PartialFile(std::string path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }

  void append(std::string_view bytes);
  void clear();
  void remove();
  // Once its bytes are on the disk it becomes `path`, in one step.
  void rename_to(const std::string& path);

 private:
  std::string path_;
  int descriptor_;
  int64_t bytes_;
};

// Held by one process at a time (flock, as huggingface_hub does); the others wait, and say so.
class FileLock {
 public:
  // what: for that message. Throws IoError if the lock's file cannot be made.
  FileLock(const std::string& path, const std::string& what);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace lethe
