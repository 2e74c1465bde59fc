// A file that is either the old one, whole, or the new one, whole, whatever happens in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lethe {

// Writes to a sibling "PATH.partial-PID"; the destructor removes it unless it became PATH. Every function
// throws IoError with the system's words; the file that was at PATH is then untouched.
class FileReplacement {
 public:
  explicit FileReplacement(std::string path);
  FileReplacement(FileReplacement&& other) noexcept;
  FileReplacement& operator=(FileReplacement&&) = delete;
  ~FileReplacement();

  void write(const void* data, size_t bytes);
  // The bytes are on the disk, still under the sibling's name. No more may be written.
  void sync();
  // The sibling becomes PATH; the directory is not synced yet, so that several files can share one sync.
  void rename_over();
  // All of it: sync, rename, sync of the directory.
  void commit();

  const std::string& path() const { return path_; }

 private:
  std::string path_, partial_;
  int descriptor_ = -1;
  bool there_ = false;
};

// Replaces the file's content in one step.
void replace_file(const std::string& path, std::string_view content);

// Makes renames and removals in a directory last through a power cut. "" is the current directory.
void sync_directory(const std::string& directory);

// Removes a file if it is there. Throws IoError.
void remove_file(const std::string& path);

// Throws RequestError, naming the directory, the bytes needed and the bytes there, if a write of `bytes`
// would not fit. The directory itself need not exist: the nearest one above it is asked.
void require_free_space(const std::string& directory, int64_t bytes);

}  // namespace lethe
