// What moves between host and device while programs run, as plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace lethe {

struct Upload {
  void* device = nullptr;
  const void* host = nullptr;
  int64_t bytes = 0;
};

// Rows without gaps on the host, `pitch` bytes apart on the device.
struct Download {
  std::byte* host = nullptr;
  const void* device = nullptr;
  int64_t pitch = 0, row_bytes = 0, rows = 0;
};

struct DeviceRange {
  const void* data = nullptr;
  int64_t bytes = 0;
};

// A read of device memory that was queued behind the work of its time: the values are those from before
// whatever was queued later. Must not outlive its backend.
class QueuedRead {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~QueuedRead() = default;
  // Whether wait() would return at once.
  virtual bool ready() = 0;
  // Returns when the values are there. Throws DeviceError if the work before them failed.
  virtual void wait() = 0;
  // Of the range with this number, in the order they were asked for; after wait().
  virtual const void* data(size_t range) const = 0;
  // When the values were there, as far as the host knows; after wait().
  virtual Clock::time_point finished() const = 0;

  template <class T>
  T value(size_t range) const {
    return *static_cast<const T*>(data(range));
  }
};

// Copies on their way to the host beside the programs that were queued after them. Must not outlive its
// backend.
class QueuedCopies {
 public:
  virtual ~QueuedCopies() = default;
  // Programs that are queued from now on run when the copies are done.
  virtual void hold_programs() {}
  // Returns when the copies are done, in any thread. Throws DeviceError if they failed.
  virtual void wait() {}
  // How long hold_programs kept the device idle, once that is known.
  virtual std::optional<double> held_seconds() { return 0.0; }
};

}  // namespace lethe
