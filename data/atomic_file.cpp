#include "data/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/error.h"

namespace lethe {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw IoError(path, fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".partial") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::absolute(path).parent_path();
  for (fs::path missing = folder; !fs::exists(missing); missing = missing.parent_path()) {
    made_.insert(made_.begin(), missing.string());
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    discard();
    throw IoError(folder.string(), "cannot be made: " + error.message());
  }
  file_ = ::open(temporary_.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  if (file_ < 0) {
    const int why = errno;
    discard();
    errno = why;
    fail(temporary_, "cannot be made");
  }
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) discard();
}

void AtomicFile::discard() {
  if (file_ >= 0) {
    ::close(file_);
    ::unlink(temporary_.c_str());
  }
  // rmdir leaves a folder alone that others have put something in meanwhile.
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

void AtomicFile::write(const void* bytes, size_t count) {
  write_at(size_, bytes, count);
  size_ += static_cast<int64_t>(count);
}

void AtomicFile::write_at(int64_t offset, const void* bytes, size_t count) {
  const char* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::pwrite(file_, from, count, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(temporary_, "cannot be written");
    from += written;
    offset += written;
    count -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_) != 0) fail(temporary_, "cannot be synced");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be renamed into place");
  ::close(file_);
  file_ = -1;
  const std::string folder = std::filesystem::absolute(path_).parent_path().string();
  // The rename itself must reach the disk too.
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) fail(folder, "cannot be opened");
  const bool synced = ::fsync(directory) == 0;
  ::close(directory);
  if (!synced) fail(folder, "cannot be synced");
}

}  // namespace lethe
