// What happened on a GPU and on the host beside it during some steps, as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lethe {

struct TimelineRecord {
  enum class Kind : uint8_t {
    kernel,  // on the device
    copy,    // of memory, on the device
    fill,    // of memory, on the device
    call,    // of CUDA's API, on the host
    range    // of the host's own: a step, a program
  };
  Kind kind = Kind::kernel;
  std::string name;                  // the kernel, "host to device", the function that was called, the range
  std::string path;                  // of the node that queued it, if that is known
  int64_t start_ns = 0, end_ns = 0;  // one clock for all
  uint32_t stream = 0;               // of what is on the device
  uint32_t thread = 0;               // of what is on the host
  int64_t bytes = 0;                 // of copies and fills
  bool host_to_device = false;       // of copies
};

struct Timeline {
  std::vector<TimelineRecord> records;
  int64_t dropped = 0;  // records that were lost
};

// Counts of what a step in its stride does not do.
struct TimelineSummary {
  int64_t steps = 0;             // ranges whose name begins with "step "
  int64_t allocations = 0;       // of device or pinned memory, and their release
  int64_t synchronisations = 0;  // of the host with a stream or the device, blocking copies included
  int64_t event_waits = 0;       // of the host for one event: once a step for the metrics of the one before
  int64_t stray_uploads = 0;     // copies to the device on a stream that also runs kernels
};

TimelineSummary summarise(const Timeline& timeline);

// The path of each piece of a captured graph's work: counts[n] pieces were there when the n-th node, of the
// n-th path, had been captured.
std::vector<std::string> paths_of_captured(const std::vector<std::string>& paths,
                                           const std::vector<size_t>& counts);

// Calls of the driver's API that a call of the runtime's encloses are that call's own: they go.
void remove_nested_calls(Timeline& timeline);

}  // namespace lethe
