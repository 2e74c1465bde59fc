#include "engine/log.h"

#include <fmt/chrono.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace lethe::log {
namespace {

std::mutex mutex;
Hooks active;
bool silenced = false;
bool kept = false;
std::vector<std::string> lines;  // that were kept and are in no file yet
std::FILE* file = nullptr;       // open until the process ends

// A line that a full disk refuses is lost here alone.
void add_to_file(const std::string& line) {
  if (!kept) return;
  const std::string dated = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}  {}\n", fmt::gmtime(std::time(nullptr)), line);
  if (!file) {
    lines.push_back(dated);
    return;
  }
  std::fputs(dated.c_str(), file);
  std::fflush(file);
}

void write(const char* prefix, const std::string& line) {
  const std::lock_guard lock(mutex);
  add_to_file(prefix + line);
  if (silenced) return;
  if (active.before) active.before();
  std::fprintf(stderr, "%s%s\n", prefix, line.c_str());
  std::fflush(stderr);
  if (active.after) active.after();
}

}  // namespace

void info(const std::string& line) {
  write("", line);
}
void warning(const std::string& line) {
  write("warning: ", line);
}

void set_silent(bool silent) {
  const std::lock_guard lock(mutex);
  silenced = silent;
}

void keep_for_file() {
  const std::lock_guard lock(mutex);
  kept = true;
}

void write_to_file(const std::string& path) {
  const std::lock_guard lock(mutex);
  kept = true;
  if (file) std::fclose(file);
  file = std::fopen(path.c_str(), "ae");
  if (!file) throw IoError(path, std::strerror(errno));
  for (const std::string& line : std::exchange(lines, {})) std::fputs(line.c_str(), file);
  std::fflush(file);
}

void note(const std::string& line) {
  const std::lock_guard lock(mutex);
  add_to_file(line);
}

void set_hooks(Hooks hooks) {
  const std::lock_guard lock(mutex);
  active = std::move(hooks);
}

}  // namespace lethe::log
