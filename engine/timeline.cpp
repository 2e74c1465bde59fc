#include "engine/timeline.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace lethe {
namespace {

using Kind = TimelineRecord::Kind;

// Names of the runtime's functions and the driver's, without the versions behind them.
constexpr std::array<std::string_view, 18> kAllocating = {
    "cudaMalloc",    "cudaMallocAsync", "cudaMallocPitch", "cudaMallocManaged", "cudaFree",
    "cudaFreeAsync", "cudaHostAlloc",   "cudaMallocHost",  "cudaFreeHost",      "cuMemAlloc",
    "cuMemFree",     "cuMemAllocAsync", "cuMemAllocPitch", "cuMemHostAlloc",    "cuMemAllocHost",
    "cuMemFreeHost", "cuMemCreate",     "cuMemFreeAsync"};
constexpr std::array<std::string_view, 14> kSynchronising = {"cudaStreamSynchronize",
                                                             "cudaDeviceSynchronize",
                                                             "cudaMemcpy",
                                                             "cudaMemcpy2D",
                                                             "cudaMemset",
                                                             "cudaMemset2D",
                                                             "cuStreamSynchronize",
                                                             "cuCtxSynchronize",
                                                             "cuMemcpyHtoD",
                                                             "cuMemcpyDtoH",
                                                             "cuMemcpyDtoD",
                                                             "cuMemcpy",
                                                             "cuMemsetD8",
                                                             "cuMemsetD32"};
constexpr std::array<std::string_view, 2> kWaiting = {"cudaEventSynchronize", "cuEventSynchronize"};

bool is_one_of(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

TimelineSummary summarise(const Timeline& timeline) {
  TimelineSummary sum;
  std::set<uint32_t> computing;
  for (const TimelineRecord& r : timeline.records) {
    if (r.kind == Kind::kernel) computing.insert(r.stream);
  }
  for (const TimelineRecord& r : timeline.records) {
    if (r.kind == Kind::range) sum.steps += r.name.starts_with("step ");
    if (r.kind == Kind::copy) sum.stray_uploads += r.host_to_device && computing.contains(r.stream);
    if (r.kind != Kind::call) continue;
    sum.allocations += is_one_of(kAllocating, r.name);
    sum.synchronisations += is_one_of(kSynchronising, r.name);
    sum.event_waits += is_one_of(kWaiting, r.name);
  }
  return sum;
}

std::vector<std::string> paths_of_captured(const std::vector<std::string>& paths,
                                           const std::vector<size_t>& counts) {
  std::vector<std::string> found;
  for (size_t n = 0; n < paths.size(); ++n) {
    while (found.size() < counts[n]) found.push_back(paths[n]);
  }
  return found;
}

void remove_nested_calls(Timeline& timeline) {
  // By thread and start, the enclosing call first.
  std::ranges::sort(timeline.records, [](const TimelineRecord& a, const TimelineRecord& b) {
    if (a.thread != b.thread) return a.thread < b.thread;
    if (a.start_ns != b.start_ns) return a.start_ns < b.start_ns;
    return a.end_ns > b.end_ns;
  });
  int64_t end = 0;
  uint32_t thread = 0;
  std::erase_if(timeline.records, [&](const TimelineRecord& r) {
    if (r.kind != Kind::call) return false;
    const bool of_driver = r.name.starts_with("cu") && !r.name.starts_with("cuda");
    if (of_driver) return r.thread == thread && r.end_ns <= end;
    thread = r.thread;
    end = r.end_ns;
    return false;
  });
}

}  // namespace lethe
