// Source of the names and their order: huggingface_hub, constants.py and utils/_auth.py.
#include "tools/hub/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <iterator>

#include "engine/error.h"

namespace lethe {
namespace {

// The first that is set to something.
std::string variable(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "";
}

std::string home_of(std::string path) {
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, variable({"HOME"}));
  return path;
}

std::string trimmed(std::string text) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  return text;
}

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string hub_home() {
  if (const std::string home = variable({"HF_HOME"}); !home.empty()) return home_of(home);
  if (const std::string cache = variable({"XDG_CACHE_HOME"}); !cache.empty())
    return home_of(cache) + "/huggingface";
  const std::string home = variable({"HOME"});
  return home.empty() ? "" : home + "/.cache/huggingface";
}

std::string first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

HubSettings HubSettings::of_environment() {
  HubSettings settings;
  if (const std::string endpoint = variable({"HF_ENDPOINT"}); !endpoint.empty()) settings.endpoint = endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  const std::string home = hub_home();
  settings.cache = home_of(variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}));
  if (settings.cache.empty()) {
    if (home.empty())
      throw RequestError("HF_HUB_CACHE: none of it, HF_HOME and HOME is set: where is the cache of models?");
    settings.cache = home + "/hub";
  }
  settings.token = trimmed(variable({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  if (settings.token.empty() && !is_true(variable({"HF_HUB_DISABLE_IMPLICIT_TOKEN"}))) {
    const std::string path = home_of(variable({"HF_TOKEN_PATH"}));
    if (!path.empty() || !home.empty())
      settings.token = trimmed(first_line_of(path.empty() ? home + "/token" : path));
  }
  settings.offline = is_true(variable({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  return settings;
}

}  // namespace lethe
