// A copy of a session's tensors in the host's memory, taken beside training.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/files/safetensors_writer.h"
#include "engine/session.h"

namespace lethe {

class Snapshot {
 public:
  // Bytes of the host's memory for the tensors (State indices).
  static int64_t bytes_of(const State& state, const std::vector<int32_t>& tensors);

  // Allocates them, once for all. Throws MemoryError. The session must outlive the snapshot.
  Snapshot(const Session& session, std::vector<int32_t> tensors);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Queues the copy of what the programs queued so far leave; the one before is done with. On a CPU all is
  // copied on return.
  void take();
  // The next update is to wait for the copy.
  void before_update();
  // Returns when the copy is there; from any thread. Throws DeviceError.
  void wait() { copies_->wait(); }
  // See QueuedCopies.
  std::optional<double> held_seconds() { return copies_ ? copies_->held_seconds() : 0.0; }

  // The copies as what a file is written from, which the snapshot must outlive.
  std::vector<TensorToWrite> tensors() const;

 private:
  const Session& session_;
  std::vector<int32_t> tensors_;
  std::vector<int64_t> offsets_;
  std::shared_ptr<std::byte> memory_;
  std::unique_ptr<QueuedCopies> copies_;
};

}  // namespace lethe
