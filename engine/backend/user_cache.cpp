#include "engine/backend/user_cache.h"

#include <cstdlib>

namespace lethe {

std::string user_cache_folder(const std::string& name) {
  const auto absolute = [](const char* variable) {
    const char* const value = std::getenv(variable);
    return value && *value == '/' ? std::string(value) : std::string();
  };
  if (const std::string cache = absolute("XDG_CACHE_HOME"); !cache.empty()) return cache + "/lethe/" + name;
  const std::string home = absolute("HOME");
  return home.empty() ? home : home + "/.cache/lethe/" + name;
}

}  // namespace lethe
