#include "engine/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>

#include "engine/files/file_replacement.h"
#include "engine/files/safetensors.h"
#include "engine/files/session_tensor.h"
#include "engine/files/text_file.h"
#include "engine/log.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;
constexpr const char* kTensors = "state.safetensors";
constexpr const char* kState = "state.json";
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

std::string marker_text(const fs::path& directory) {
  std::string text;
  for (const char* name : {kTensors, kState}) {
    std::error_code error;
    const auto size = fs::file_size(directory / name, error);
    if (error) return "";
    text += fmt::format("{} {}\n", name, size);
  }
  return text;
}

bool is_complete(const fs::path& directory) {
  const std::string expected = marker_text(directory);
  return !expected.empty() && fs::exists(directory / kComplete) &&
         read_text((directory / kComplete).string()) == expected;
}

std::vector<CheckpointPath> list(const std::string& folder) {
  std::vector<CheckpointPath> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0) found.push_back({entry.path().string(), step});
  }
  std::ranges::sort(found, std::greater{}, &CheckpointPath::step);
  return found;
}

// The marker goes first: a half-removed checkpoint must not count.
void remove_checkpoint(const fs::path& directory) {
  remove_file((directory / kComplete).string());
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) throw IoError(directory.string(), error.message());
}

void prune(const std::string& folder, int64_t keep) {
  int64_t complete = 0;
  for (const CheckpointPath& c : list(folder)) {
    if (is_complete(c.directory)) {
      if (keep == 0 || ++complete <= keep) continue;
    }
    remove_checkpoint(c.directory);
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().ends_with(kPartial)) fs::remove_all(entry.path());
  }
}

// What one rank holds, read there and handed to all: every rank asks for the same rows in the same order.
TensorToWrite owned_tensor(const Session& session, int32_t index, Comm& comm) {
  const PersistentInfo& p = session.state()[index];
  const int64_t row = p.width() * size_of(p.dtype);
  const int owner = p.owner;
  std::function<void(int64_t, int64_t, std::byte*)> read;
  if (!p.absent) read = session_tensor(session, index, p.name).fill;
  return {p.name, stored_type_of(p.dtype), p.shape,
          [read, row, owner, &comm](int64_t first, int64_t count, std::byte* out) {
            if (read) read(first, count, out);
            comm.broadcast(out, count * row, owner);
          }};
}

}  // namespace

std::vector<int32_t> tensors_to_save(const State& state) {
  std::vector<int32_t> found;
  for (int32_t i = 0; i < state.size(); ++i) {
    const PersistentInfo& p = state[i];
    if (p.parent < 0 && (p.kind == Kind::optimizer || (p.kind == Kind::weight && p.trainable)))
      found.push_back(i);
  }
  return found;
}

int64_t checkpoint_bytes(const State& state, const std::vector<int32_t>& tensors) {
  int64_t bytes = 0;
  for (const int32_t t : tensors) bytes += elements_of(state[t].shape) * size_of(state[t].dtype);
  return bytes;
}

void save_checkpoint(const std::string& folder, int64_t step, const Session& session,
                     const std::vector<int32_t>& tensors, const std::string& state_json, int64_t keep,
                     Comm* comm) {
  std::vector<TensorToWrite> list, owned;
  for (const int32_t t : tensors) {
    if (comm && session.state()[t].owner >= 0) {
      list.push_back(owned_tensor(session, t, *comm));
      owned.push_back(list.back());
    } else {
      list.push_back(session_tensor(session, t, session.state()[t].name));
    }
  }
  const fs::path final_path = fs::path(folder) / fmt::format("{}{:08}", kPrefix, step);
  const bool writes = !comm || comm->rank() == 0;
  int64_t is_there = writes && is_complete(final_path) ? 1 : 0;
  if (comm) comm->broadcast(&is_there, sizeof is_there, 0);
  if (is_there) return;
  if (!writes) return read_pieces(owned, [](std::span<const std::byte>) {});
  const fs::path partial = final_path.string() + std::string(kPartial);
  std::error_code error;
  fs::remove_all(partial, error);
  fs::create_directories(partial, error);
  if (error) throw IoError(partial.string(), error.message());

  try {
    write_safetensors((partial / kTensors).string(), list);
    replace_file((partial / kState).string(), state_json);
    sync_directory(partial.string());
    if (fs::exists(final_path)) remove_checkpoint(final_path);
    fs::rename(partial, final_path);
    sync_directory(folder);
    replace_file((final_path / kComplete).string(), marker_text(final_path));
  } catch (const fs::filesystem_error& e) {
    fs::remove_all(partial, error);
    throw IoError(final_path.string(), e.code().message());
  } catch (const IoError&) {
    fs::remove_all(partial, error);
    throw;
  }
  prune(folder, keep);
}

std::optional<CheckpointPath> newest_checkpoint(const std::string& folder) {
  for (const CheckpointPath& c : list(folder)) {
    if (is_complete(c.directory)) return c;
    log::warning(c.directory + " is not complete and is passed over");
  }
  return std::nullopt;
}

std::string read_checkpoint_state(const CheckpointPath& checkpoint) {
  return read_text((fs::path(checkpoint.directory) / kState).string());
}

void load_checkpoint(const CheckpointPath& checkpoint, Session& session,
                     const std::vector<int32_t>& tensors) {
  const SafetensorsFile file((fs::path(checkpoint.directory) / kTensors).string());
  // All checks before the first byte is written into the session.
  for (const int32_t t : tensors) {
    const PersistentInfo& p = session.state()[t];
    const SafetensorsEntry& entry = file.require(p.name);
    if (entry.shape != p.shape || entry.type != stored_type_of(p.dtype)) {
      throw FormatError(file.path(), p.name,
                        fmt::format("holds {} {}, this run's tensor is {} {}", text_of(entry.shape),
                                    name_of(entry.type), text_of(p.shape), name_of(p.dtype)));
    }
  }
  if (file.entries().size() != tensors.size()) {
    for (const SafetensorsEntry& e : file.entries()) {
      const int32_t t = session.state().find(e.name);
      if (t < 0 || std::ranges::find(tensors, t) == tensors.end()) {
        throw FormatError(file.path(), e.name,
                          "is not part of this run: the checkpoint is of another model or optimizer");
      }
    }
  }
  for (const int32_t t : tensors) {
    const PersistentInfo& p = session.state()[t];
    if (p.absent) continue;
    const Buffer b = session.buffer(t);
    const std::span<const std::byte> bytes = file.bytes(file.require(p.name));
    const int64_t row = b.width * size_of(b.dtype);
    session.backend().upload_rows(b.data, b.pitch * size_of(b.dtype), bytes.data(), row, b.rows);
  }
}

}  // namespace lethe
