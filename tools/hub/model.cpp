#include "tools/hub/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/error.h"
#include "engine/log.h"
#include "model/weights/model_files.h"
#include "model/weights/side_files.h"
#include "tools/hub/download.h"
#include "tools/hub/errors.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using Has = std::function<bool(const std::string&)>;

constexpr const char* config = "config.json";
constexpr const char* weights = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

// What must be there; of the ways to keep weights or a tokenizer, the one that is there. The shards that an
// index names are no part of it.
Names required_files(const HubName& name, HubPart part, const Has& has) {
  if (!name.file.empty()) return {name.file};
  if (part == HubPart::config) return {config};
  if (part == HubPart::tokenizer) return {has("tokenizer.json") ? "tokenizer.json" : "tokenizer.model"};
  if (has(weights)) return {config, weights};
  if (has(index_name)) return {config, index_name};
  if (has("adapter_config.json")) return {"adapter_config.json", "adapter_model.safetensors"};
  return {config, weights};
}

// What comes along where it is.
Names optional_files(const HubName& name, HubPart part) {
  if (!name.file.empty() || part == HubPart::config) return {};
  if (part == HubPart::tokenizer) return {"tokenizer_config.json"};
  Names files = side_file_names();
  files.push_back("lethe_chat.json");
  return files;
}

struct Cached {
  bool usable = false;    // everything required is there
  bool complete = false;  // and of the rest it is known whether it exists
};

Cached look(const HubCache& cache, const std::string& commit, const HubName& name, HubPart part) {
  Cached found;
  if (commit.empty()) return found;
  const Has has = [&](const std::string& file) { return cache.has(commit, file); };
  Names required = required_files(name, part, has);
  found.usable = std::ranges::all_of(required, has);
  if (found.usable && required.back() == index_name)
    found.usable = std::ranges::all_of(shard_names(cache.snapshot(commit) + "/" + index_name), has);
  found.complete = found.usable && std::ranges::all_of(optional_files(name, part), [&](const std::string& f) {
                     return has(f) || cache.knows_absent(commit, f);
                   });
  return found;
}

// What stands where the weights should be.
std::string others_of(const HubListing& listing) {
  Names others;
  for (const std::string& file : listing.files) {
    if (file.ends_with(".gguf") || file.ends_with(".bin") || file.ends_with(".safetensors"))
      others.push_back(file);
  }
  if (others.empty()) return "";
  const size_t shown = std::min<size_t>(others.size(), 5);
  return fmt::format("; it has {}{}",
                     fmt::join(others.begin(), others.begin() + static_cast<long>(shown), ", "),
                     shown < others.size() ? ", …" : "");
}

std::string download(const HubName& name, HubPart part, const HubSettings& settings, const HubCache& cache) {
  HubRepository hub(settings, name);
  const HubListing listing = hub.list();
  const std::string& commit = listing.commit;
  const auto require = [&](const std::string& file) {
    if (listing.has(file)) return;
    throw HubRefusal(settings.endpoint + "/" + name.repository, 200,
                     fmt::format("has no {}{}", file, others_of(listing)));
  };
  const Names required = required_files(name, part, [&](const std::string& f) { return listing.has(f); });
  std::ranges::for_each(required, require);
  const std::string folder = cache.snapshot(commit);
  const auto comes = [&](const std::string& file) { return listing.has(file) && !cache.has(commit, file); };
  if (std::ranges::any_of(required, comes) || std::ranges::any_of(optional_files(name, part), comes))
    log::info(fmt::format("{}: downloading to {}", name.repository, folder));
  for (const std::string& file : optional_files(name, part)) {
    if (listing.has(file)) {
      hub.fetch(commit, file);
    } else {
      cache.mark_absent(commit, file);
    }
  }
  for (const std::string& file : required) hub.fetch(commit, file);
  if (required.back() == index_name) {
    const std::set<std::string> shards = shard_names(folder + "/" + index_name);
    std::ranges::for_each(shards, require);
    for (const std::string& shard : shards) hub.fetch(commit, shard);
  }
  cache.remember_commit(commit);
  return commit;
}

// Nothing if the text is a path.
std::optional<HubName> name_of(const std::string& path_or_name) {
  std::error_code ignored;
  if (fs::exists(path_or_name, ignored)) return std::nullopt;
  std::optional<HubName> name = parse_hub_name(path_or_name);
  if (name && fs::is_directory(name->repository.substr(0, name->repository.find('/')), ignored)) name.reset();
  return name;
}

}  // namespace

std::string hub_model(const HubName& name, HubPart part, const HubSettings& settings) {
  const HubCache cache(settings.cache, name);
  std::string commit = cache.commit();
  const Cached found = look(cache, commit, name, part);
  if (!found.complete && settings.offline && !found.usable)
    throw HubRefusal(settings.endpoint + "/" + name.repository, 0,
                     fmt::format("revision {} is not in {}, and HF_HUB_OFFLINE forbids to ask for it",
                                 name.revision, settings.cache));
  if (!found.complete && !settings.offline) {
    try {
      commit = download(name, part, settings, cache);
    } catch (const Error& error) {
      // Only files that a model can do without are in doubt.
      if (!found.usable) throw;
      log::warning(fmt::format("{}; going on with what is in the cache", error.what()));
    }
  }
  const std::string folder = cache.snapshot(commit);
  return name.file.empty() ? folder : folder + "/" + name.file;
}

std::string local_model(const std::string& path_or_name, HubPart part) {
  const std::optional<HubName> name = name_of(path_or_name);
  if (!name) return path_or_name;
  try {
    return hub_model(*name, part, HubSettings::of_environment());
  } catch (const HubRefusal& e) {
    throw HubRefusal(e.url, e.status,
                     fmt::format("{}. Nor is there a folder or file {}", e.why, path_or_name));
  }
}

std::string cached_model(const std::string& path_or_name, HubPart part) {
  const std::optional<HubName> name = name_of(path_or_name);
  if (!name) return path_or_name;
  HubSettings settings = HubSettings::of_environment();
  settings.offline = true;
  try {
    return hub_model(*name, part, settings);
  } catch (const HubRefusal&) {
    return path_or_name;
  }
}

}  // namespace lethe
