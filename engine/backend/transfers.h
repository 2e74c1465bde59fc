// What moves between host and device while programs run, as plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lethe {

struct Upload {
  void* device = nullptr;
  const void* host = nullptr;
  int64_t bytes = 0;
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

}  // namespace lethe
