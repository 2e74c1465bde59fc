// A file's bytes as memory, read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lethe {

// The file must not be shortened while it is mapped; a writer that replaces it by rename does no harm.
class MappedFile {
 public:
  // Throws FormatError if there is no such regular file or it cannot be opened, IoError if it cannot be
  // mapped.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }

  // Copies bytes into memory by reading them, which for large pieces is faster than touching the mapped
  // pages. Safe from several threads. Throws IoError if they cannot be read.
  void read(uint64_t offset, uint64_t bytes, std::byte* to) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace lethe
