#include "engine/checkpoint_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <string_view>

#include "engine/files/file_replacement.h"
#include "engine/files/text_file.h"

namespace lethe::checkpoint_files {
namespace {

namespace fs = std::filesystem;
constexpr const char* kComplete = "complete";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial";

// The step of "step-00000100", or -1.
int64_t step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return -1;
  int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto [stopped, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && stopped == end ? step : -1;
}

// What `complete` says of a folder that `world` ranks wrote; "" if a file is missing.
std::string marker_text(const fs::path& directory, int world) {
  std::string text;
  for (int rank = 0; rank <= world; ++rank) {
    const std::string name = rank < world ? tensors_name(rank, world) : kState;
    std::error_code error;
    const auto size = fs::file_size(directory / name, error);
    if (error) return "";
    text += fmt::format("{} {}\n", name, size);
  }
  return text;
}

// How many ranks wrote a complete checkpoint; 0 if it is not.
int world_of(const fs::path& directory) {
  if (!fs::exists(directory / kComplete)) return 0;
  const std::string found = read_text((directory / kComplete).string());
  const auto world = static_cast<int>(std::ranges::count(found, '\n')) - 1;
  return world > 0 && found == marker_text(directory, world) ? world : 0;
}

// The marker goes first: a half-removed checkpoint must not count.
void remove_checkpoint(const fs::path& directory) {
  remove_file((directory / kComplete).string());
  fs::remove_all(directory);
}

void prune(const std::string& folder, int64_t keep) {
  int64_t complete = 0;
  for (const Found& c : list(folder)) {
    if (is_complete(c.directory)) {
      if (keep == 0 || ++complete <= keep) continue;
    }
    remove_checkpoint(c.directory);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().ends_with(kPartial)) fs::remove_all(entry.path());
  }
}

// `work`, with the system's refusals as errors of Lethe.
void with_io_errors(const std::string& path, const std::function<void()>& work) {
  try {
    work();
  } catch (const fs::filesystem_error& e) {
    throw IoError(e.path1().empty() ? path : e.path1().string(), e.code().message());
  }
}

}  // namespace

const char* const kState = "state.json";

std::string tensors_name(int rank, int world) {
  if (world == 1) return "state.safetensors";
  return fmt::format("state-{:05}-of-{:05}.safetensors", rank + 1, world);
}

std::string path(const std::string& folder, int64_t step) {
  return (fs::path(folder) / fmt::format("{}{:08}", kPrefix, step)).string();
}

std::string partial_path(const std::string& folder, int64_t step) {
  return path(folder, step) + std::string(kPartial);
}

std::vector<std::string> tensor_files(const std::string& directory) {
  std::vector<std::string> names;
  const int world = world_of(directory);
  for (int rank = 0; rank < world; ++rank) names.push_back(tensors_name(rank, world));
  return names;
}

bool is_complete(const std::string& directory) {
  return world_of(directory) > 0;
}

std::vector<Found> list(const std::string& folder) {
  std::vector<Found> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0) found.push_back({entry.path().string(), step});
  }
  std::ranges::sort(found, std::greater{}, &Found::step);
  return found;
}

void begin(const std::string& folder, int64_t step, const std::string& state_json) {
  const std::string partial = partial_path(folder, step);
  with_io_errors(partial, [&] {
    fs::remove_all(partial);
    fs::create_directories(partial);
    replace_file((fs::path(partial) / kState).string(), state_json);
  });
}

void commit(const std::string& folder, int64_t step, int world, int64_t keep) {
  const fs::path partial = partial_path(folder, step), made = path(folder, step);
  with_io_errors(made.string(), [&] {
    const std::string marker = marker_text(partial, world);
    if (marker.empty()) throw IoError(partial.string(), "a file that was written is not there");
    replace_file((partial / kComplete).string(), marker);  // syncs the folder too
    if (fs::exists(made)) remove_checkpoint(made);
    fs::rename(partial, made);
    sync_directory(folder);
    prune(folder, keep);
  });
}

void discard(const std::string& folder, int64_t step) {
  std::error_code error;
  fs::remove_all(partial_path(folder, step), error);
}

}  // namespace lethe::checkpoint_files
