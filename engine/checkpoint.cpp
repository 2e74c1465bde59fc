#include "engine/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <unordered_map>

#include "engine/checkpoint_files.h"
#include "engine/checkpoint_writer.h"
#include "engine/files/safetensors.h"
#include "engine/files/text_file.h"
#include "engine/log.h"

namespace lethe {
namespace {

namespace files = checkpoint_files;

// The tensors of a checkpoint, whichever ranks wrote them. A file is mapped, and of its values only those
// that are asked for are read.
class StoredTensors {
 public:
  struct Place {
    const SafetensorsFile* file;
    const SafetensorsEntry* entry;
  };

  explicit StoredTensors(const std::string& directory) {
    for (const std::string& name : files::tensor_files(directory)) {
      files_.push_back(std::make_unique<SafetensorsFile>(directory + "/" + name));
      const SafetensorsFile& file = *files_.back();
      for (const SafetensorsEntry& e : file.entries()) {
        const auto [found, is_new] = places_.try_emplace(e.name, Place{&file, &e});
        if (!is_new) {
          throw FormatError(file.path(), e.name, "is in " + found->second.file->path() + " too");
        }
      }
    }
    if (files_.empty()) throw FormatError(directory, "", "is not a complete checkpoint");
  }

  Place require(const std::string& name) const {
    const auto found = places_.find(name);
    if (found != places_.end()) return found->second;
    throw FormatError(files_[0]->path(), name,
                      files_.size() == 1 ? "there is no such tensor in this file"
                                         : "there is no such tensor in this file and those beside it");
  }
  const std::unordered_map<std::string, Place>& all() const { return places_; }

 private:
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::unordered_map<std::string, Place> places_;
};

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
                     const std::vector<int32_t>& tensors, const std::string& state_json, int64_t keep) {
  CheckpointWriter(session, tensors, {.folder = folder, .keep = keep}).save(step, state_json);
}

std::optional<CheckpointPath> newest_checkpoint(const std::string& folder) {
  for (const files::Found& c : files::list(folder)) {
    if (files::is_complete(c.directory)) return CheckpointPath{c.directory, c.step};
    log::warning(c.directory + " is not complete and is passed over");
  }
  return std::nullopt;
}

std::string read_checkpoint_state(const CheckpointPath& checkpoint) {
  return read_text((std::filesystem::path(checkpoint.directory) / files::kState).string());
}

void load_checkpoint(const CheckpointPath& checkpoint, Session& session,
                     const std::vector<int32_t>& tensors) {
  const StoredTensors stored(checkpoint.directory);
  // All checks before the first byte is written into the session.
  for (const int32_t t : tensors) {
    const PersistentInfo& p = session.state()[t];
    const auto [file, entry] = stored.require(p.name);
    if (entry->shape != p.shape || entry->type != stored_type_of(p.dtype)) {
      throw FormatError(file->path(), p.name,
                        fmt::format("holds {} {}, this run's tensor is {} {}", text_of(entry->shape),
                                    name_of(entry->type), text_of(p.shape), name_of(p.dtype)));
    }
  }
  for (const auto& [name, place] : stored.all()) {
    if (stored.all().size() == tensors.size()) break;  // each was found
    const int32_t t = session.state().find(name);
    if (t < 0 || std::ranges::find(tensors, t) == tensors.end()) {
      throw FormatError(place.file->path(), name,
                        "is not part of this run: the checkpoint is of another model or optimizer");
    }
  }
  for (const int32_t t : tensors) {
    const PersistentInfo& p = session.state()[t];
    if (p.absent) continue;
    const Buffer b = session.buffer(t);
    const auto [file, entry] = stored.require(p.name);
    const int64_t row = b.width * size_of(b.dtype);
    session.backend().upload_rows(b.data, b.pitch * size_of(b.dtype), file->bytes(*entry).data(), row,
                                  b.rows);
  }
}

}  // namespace lethe
