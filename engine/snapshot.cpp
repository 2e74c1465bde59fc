#include "engine/snapshot.h"

#include <cstring>

#include "engine/error.h"

namespace lethe {
namespace {

// Each tensor begins on its own lines of the cache.
int64_t place_of(const PersistentInfo& p) {
  constexpr int64_t line = 64;
  return (elements_of(p.shape) * size_of(p.dtype) + line - 1) / line * line;
}

}  // namespace

int64_t Snapshot::bytes_of(const State& state, const std::vector<int32_t>& tensors) {
  int64_t bytes = 0;
  for (const int32_t t : tensors) bytes += place_of(state[t]);
  return bytes;
}

Snapshot::Snapshot(const Session& session, std::vector<int32_t> tensors)
    : session_(session), tensors_(std::move(tensors)) {
  int64_t end = 0;
  for (const int32_t t : tensors_) {
    offsets_.push_back(end);
    end += place_of(session.state()[t]);
  }
  memory_ = session.backend().allocate_host(end);
}

// The memory must outlive the copies into it.
Snapshot::~Snapshot() {
  try {
    if (copies_) copies_->wait();
  } catch (const Error&) {  // they have ended, and nobody wants them any more
  }
}

void Snapshot::take() {
  std::vector<Download> parts;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Buffer b = session_.buffer(tensors_[i]);
    const int64_t size = size_of(b.dtype);
    parts.push_back({memory_.get() + offsets_[i], b.data, b.pitch * size, b.width * size, b.rows});
  }
  copies_ = session_.backend().queue_copies(parts);
}

void Snapshot::before_update() {
  if (copies_) copies_->hold_programs();
}

std::vector<TensorToWrite> Snapshot::tensors() const {
  std::vector<TensorToWrite> made;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const PersistentInfo& p = session_.state()[tensors_[i]];
    const int64_t row = p.width() * size_of(p.dtype);
    made.push_back({p.name, stored_type_of(p.dtype), p.shape,
                    [from = memory_.get() + offsets_[i], row](int64_t first, int64_t count, std::byte* out) {
                      std::memcpy(out, from + first * row, static_cast<size_t>(count * row));
                    }});
  }
  return made;
}

}  // namespace lethe
