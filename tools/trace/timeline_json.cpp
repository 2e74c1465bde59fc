#include "tools/trace/timeline_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace lethe {
namespace {

using Kind = TimelineRecord::Kind;
using Json = nlohmann::ordered_json;

constexpr int kGpu = 1, kHost = 2;
constexpr int64_t kRanges = 0;  // the host's track of steps; no thread has this number

const char* category(Kind kind) {
  switch (kind) {
    case Kind::kernel:
      return "kernel";
    case Kind::copy:
      return "copy";
    case Kind::fill:
      return "fill";
    case Kind::call:
      return "call";
    default:
      return "range";
  }
}

bool on_gpu(const TimelineRecord& r) {
  return r.kind == Kind::kernel || r.kind == Kind::copy || r.kind == Kind::fill;
}

int64_t track_of(const TimelineRecord& r) {
  return on_gpu(r) ? r.stream : r.kind == Kind::call ? r.thread : kRanges;
}

Json name_of_track(int process, int64_t track, const char* what, const std::string& name) {
  return {{"ph", "M"}, {"pid", process}, {"tid", track}, {"name", what}, {"args", {{"name", name}}}};
}

Json event_of(const TimelineRecord& r, int64_t origin_ns) {
  const auto microseconds = [](int64_t ns) { return static_cast<double>(ns) / 1e3; };
  Json arguments = Json::object();
  if (!r.path.empty()) arguments["node"] = r.path;
  if (r.kind == Kind::copy || r.kind == Kind::fill) {
    arguments["bytes"] = r.bytes;
    // Bytes a nanosecond are GB a second.
    if (r.end_ns > r.start_ns) {
      arguments["GB/s"] = static_cast<double>(r.bytes) / static_cast<double>(r.end_ns - r.start_ns);
    }
  }
  return {{"ph", "X"},
          {"pid", on_gpu(r) ? kGpu : kHost},
          {"tid", track_of(r)},
          {"cat", category(r.kind)},
          {"name", r.name},
          {"ts", microseconds(r.start_ns - origin_ns)},
          {"dur", microseconds(r.end_ns - r.start_ns)},
          {"args", arguments}};
}

}  // namespace

std::string timeline_json(const Timeline& timeline) {
  Json events = Json::array();
  events.push_back(name_of_track(kGpu, 0, "process_name", "GPU"));
  events.push_back(name_of_track(kHost, 0, "process_name", "host"));
  std::set<int64_t> streams, threads;
  int64_t origin = INT64_MAX;
  for (const TimelineRecord& r : timeline.records) {
    origin = std::min(origin, r.start_ns);
    if (on_gpu(r)) streams.insert(track_of(r));
    if (r.kind == Kind::call) threads.insert(track_of(r));
  }
  for (const int64_t s : streams) {
    events.push_back(name_of_track(kGpu, s, "thread_name", fmt::format("stream {}", s)));
  }
  events.push_back(name_of_track(kHost, kRanges, "thread_name", "steps"));
  for (const int64_t t : threads) {
    events.push_back(name_of_track(kHost, t, "thread_name", fmt::format("CUDA calls of thread {}", t)));
  }
  for (const TimelineRecord& r : timeline.records) events.push_back(event_of(r, origin));
  const TimelineSummary s = summarise(timeline);
  const Json file = {{"displayTimeUnit", "ms"},
                     {"otherData",
                      {{"steps", s.steps},
                       {"allocations", s.allocations},
                       {"synchronisations", s.synchronisations},
                       {"event_waits", s.event_waits},
                       {"uploads_off_the_input_stream", s.stray_uploads},
                       {"dropped_records", timeline.dropped}}},
                     {"traceEvents", events}};
  // A kernel's name may hold bytes that are not UTF-8.
  return file.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string summary_text(const TimelineSummary& s) {
  return fmt::format(
      "in the {} traced steps: {} allocations, {} host synchronisations, {} waits for an event, {} uploads "
      "off "
      "the input stream",
      s.steps, s.allocations, s.synchronisations, s.event_waits, s.stray_uploads);
}

}  // namespace lethe
