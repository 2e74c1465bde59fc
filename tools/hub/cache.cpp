#include "tools/hub/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/files/file_replacement.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

void make_folder_of(const std::string& file) {
  std::error_code error;
  const fs::path folder = fs::path(file).parent_path();
  fs::create_directories(folder, error);
  if (error) throw IoError(folder.string(), error.message());
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);  // false for a link to nothing
}

}  // namespace

HubCache::HubCache(const std::string& cache, const HubName& name) : revision_(name.revision) {
  std::string folder = "models--" + name.repository;
  folder.replace(folder.find('/'), 1, "--");
  folder_ = cache + "/" + folder;
  locks_ = cache + "/.locks/" + folder;
}

std::string HubCache::commit() const {
  if (is_commit(revision_)) return revision_;
  std::ifstream file(folder_ + "/refs/" + revision_);
  std::string commit;
  file >> commit;
  return is_commit(commit) ? commit : "";
}

std::string HubCache::snapshot(const std::string& commit) const {
  return folder_ + "/snapshots/" + commit;
}

bool HubCache::has(const std::string& commit, const std::string& file) const {
  return is_there(snapshot(commit) + "/" + file);
}

bool HubCache::knows_absent(const std::string& commit, const std::string& file) const {
  return is_there(folder_ + "/.no_exist/" + commit + "/" + file);
}

std::string HubCache::blob(const std::string& checksum) const {
  return folder_ + "/blobs/" + checksum;
}

std::string HubCache::lock(const std::string& checksum) const {
  return locks_ + "/" + checksum + ".lock";
}

void HubCache::link(const std::string& commit, const std::string& file, const std::string& checksum) const {
  const std::string path = snapshot(commit) + "/" + file, partial = fmt::format("{}.{}", path, ::getpid());
  make_folder_of(path);
  std::error_code error;
  fs::remove(partial, error);
  fs::create_symlink(fs::relative(blob(checksum), fs::path(path).parent_path()), partial, error);
  if (!error) fs::rename(partial, path, error);
  if (error) throw IoError(path, "cannot be linked to its blob: " + error.message());
}

void HubCache::mark_absent(const std::string& commit, const std::string& file) const {
  const std::string path = folder_ + "/.no_exist/" + commit + "/" + file;
  make_folder_of(path);
  replace_file(path, "");
}

void HubCache::remember_commit(const std::string& commit) const {
  if (is_commit(revision_)) return;
  const std::string path = folder_ + "/refs/" + revision_;
  make_folder_of(path);
  replace_file(path, commit);
}

}  // namespace lethe
