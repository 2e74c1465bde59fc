#include "tools/hub/partial_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const char* action) {
  throw IoError(path, fmt::format("{}: {}", action, std::strerror(errno)));
}

int open_with_folder(const std::string& path, int flags) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) throw IoError(fs::path(path).parent_path().string(), error.message());
  const int descriptor = ::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(path, "cannot be written");
  return descriptor;
}

}  // namespace

PartialFile::PartialFile(std::string path)
    : path_(std::move(path)),
      descriptor_(open_with_folder(path_, O_WRONLY | O_APPEND)),
      bytes_(::lseek(descriptor_, 0, SEEK_END)) {}

PartialFile::~PartialFile() {
  ::close(descriptor_);
}

void PartialFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "writing failed");
    bytes.remove_prefix(static_cast<size_t>(written));
    bytes_ += written;
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) fail(path_, "cannot be cleared");
  bytes_ = 0;
}

void PartialFile::remove() {
  remove_file(path_);
}

void PartialFile::rename_to(const std::string& path) {
  if (::fsync(descriptor_) != 0) fail(path_, "writing to the disk failed");
  if (std::rename(path_.c_str(), path.c_str()) != 0) fail(path, "cannot be replaced");
  sync_directory(fs::path(path).parent_path().string());
}

FileLock::FileLock(const std::string& path, const std::string& what)
    : descriptor_(open_with_folder(path, O_RDWR)) {
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  // Some file systems know no locks. Then two downloads may spoil each other's file, which its checksum
  // tells.
  if (errno != EWOULDBLOCK) return;
  log::info(what + ": another process downloads it; waiting");
  while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

FileLock::~FileLock() {
  ::close(descriptor_);
}

}  // namespace lethe
