#include "engine/files/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/error.h"

namespace lethe {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe by mistake must not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw FormatError(path, "", fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) {
    ::close(descriptor);
    throw FormatError(path, "", "is not a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      const int error = errno;
      ::close(descriptor);
      throw IoError(path, fmt::format("cannot be mapped: {}", std::strerror(error)));
    }
    data_ = static_cast<std::byte*>(address);
  }
  descriptor_ = descriptor;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::read(uint64_t offset, uint64_t bytes, std::byte* to) const {
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(path_, fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) throw IoError(path_, fmt::format("ends at byte {}, though it had {}", offset, size_));
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
    to += got;
  }
}

}  // namespace lethe
