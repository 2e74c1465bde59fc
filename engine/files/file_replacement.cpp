#include "engine/files/file_replacement.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/error.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const char* action, int error) {
  throw IoError(path, fmt::format("{}: {}", action, std::strerror(error)));
}

}  // namespace

FileReplacement::FileReplacement(std::string path)
    : path_(std::move(path)), partial_(fmt::format("{}.partial-{}", path_, ::getpid())) {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(path_, "cannot be written", errno);
  there_ = true;
}

FileReplacement::FileReplacement(FileReplacement&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      there_(std::exchange(other.there_, false)) {}

FileReplacement::~FileReplacement() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (there_) ::unlink(partial_.c_str());
}

void FileReplacement::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "writing failed", errno);
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void FileReplacement::sync() {
  if (::fsync(descriptor_) != 0) fail(path_, "writing to the disk failed", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(path_, "closing failed", errno);
}

void FileReplacement::rename_over() {
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be replaced", errno);
  there_ = false;
}

void FileReplacement::commit() {
  sync();
  rename_over();
  sync_directory(fs::path(path_).parent_path().string());
}

void replace_file(const std::string& path, std::string_view content) {
  FileReplacement file(path);
  file.write(content.data(), content.size());
  file.commit();
}

void sync_directory(const std::string& directory) {
  const std::string name = directory.empty() ? "." : directory;
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(name, "cannot be opened", errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems cannot sync a directory and say so with EINVAL; there is nothing to wait for on them.
  if (error != 0 && error != EINVAL) fail(name, "writing to the disk failed", error);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail(path, "cannot be removed", errno);
}

void require_free_space(const std::string& directory, int64_t bytes) {
  std::error_code ignored;
  fs::path asked = fs::absolute(directory.empty() ? "." : directory, ignored).lexically_normal();
  while (!fs::exists(asked, ignored) && asked.has_relative_path()) asked = asked.parent_path();
  struct statvfs space {};
  if (::statvfs(asked.c_str(), &space) != 0) {
    throw RequestError(fmt::format("{}: the free space cannot be read: {}", directory, std::strerror(errno)));
  }
  // Two 64-bit counts whose product could pass 64 bits on a lying file system; compared in double, where an
  // error of one part in 2^53 does not matter.
  const double there = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  if (there < static_cast<double>(bytes)) {
    throw RequestError(
        fmt::format("{}: {} bytes are needed, {:.0f} bytes are free on its disk", directory, bytes, there));
  }
}

}  // namespace lethe
