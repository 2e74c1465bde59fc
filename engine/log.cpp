#include "engine/log.h"

#include <cstdio>
#include <mutex>
#include <utility>

namespace lethe::log {
namespace {

std::mutex mutex;
Hooks active;
bool silenced = false;

void write(const char* prefix, const std::string& line) {
  const std::lock_guard lock(mutex);
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

void set_hooks(Hooks hooks) {
  const std::lock_guard lock(mutex);
  active = std::move(hooks);
}

}  // namespace lethe::log
