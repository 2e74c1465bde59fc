// A trace's records as a timeline: what belongs to what, what is counted, and the file that is written.
#include "engine/timeline.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/backend/cuda_trace.h"
#include "engine/error.h"
#include "tests/files.h"
#include "tools/trace/timeline_json.h"

namespace lethe::test {
namespace {

using Kind = TimelineRecord::Kind;

Timeline sample() {
  Timeline t;
  t.records = {
      {.kind = Kind::range, .name = "step 3", .start_ns = 1000, .end_ns = 9000},
      {.kind = Kind::copy,
       .name = "copy host to device",
       .start_ns = 1500,
       .end_ns = 2500,
       .stream = 14,
       .bytes = 50000,
       .host_to_device = true},
      {.kind = Kind::call, .name = "cudaGraphLaunch", .start_ns = 1200, .end_ns = 1300, .thread = 77},
      {.kind = Kind::kernel,
       .name = "swiglu<bf16>\xff",
       .path = "layers.3.mlp (swiglu)",
       .start_ns = 3000,
       .end_ns = 4500,
       .stream = 13},
      {.kind = Kind::fill, .name = "fill", .start_ns = 4500, .end_ns = 4500, .stream = 13, .bytes = 8},
      {.kind = Kind::call, .name = "cudaEventSynchronize", .start_ns = 5000, .end_ns = 8000, .thread = 77},
  };
  return t;
}

TEST(Timeline, CountsWhatAStepInItsStrideDoesNotDo) {
  Timeline t = sample();
  TimelineSummary s = summarise(t);
  EXPECT_EQ(s.steps, 1);
  EXPECT_EQ(s.allocations, 0);
  EXPECT_EQ(s.synchronisations, 0);
  EXPECT_EQ(s.event_waits, 1);
  EXPECT_EQ(s.stray_uploads, 0);
  for (const char* name : {"cudaMalloc", "cuMemFree", "cudaHostAlloc", "cudaStreamSynchronize", "cudaMemcpy",
                           "cudaMemcpyAsync", "cudaLaunchKernel"}) {
    t.records.push_back({.kind = Kind::call, .name = name, .thread = 77});
  }
  t.records[1].stream = 13;  // now among the kernels
  s = summarise(t);
  EXPECT_EQ(s.allocations, 3);
  EXPECT_EQ(s.synchronisations, 2) << "an asynchronous copy is none";
  EXPECT_EQ(s.stray_uploads, 1);
}

TEST(Timeline, DropsTheDriversCallsInsideTheRuntimes) {
  Timeline t;
  t.records = {{.kind = Kind::call, .name = "cuMemAlloc", .start_ns = 12, .end_ns = 18, .thread = 1},
               {.kind = Kind::call, .name = "cudaMalloc", .start_ns = 10, .end_ns = 20, .thread = 1},
               {.kind = Kind::call, .name = "cuMemAlloc", .start_ns = 12, .end_ns = 18, .thread = 2},
               {.kind = Kind::call, .name = "cuMemFree", .start_ns = 21, .end_ns = 25, .thread = 1},
               {.kind = Kind::kernel, .name = "cuda_kernel", .start_ns = 12, .end_ns = 13}};
  remove_nested_calls(t);
  ASSERT_EQ(t.records.size(), 4u);
  EXPECT_EQ(summarise(t).allocations, 3);
}

TEST(Timeline, ANodeOwnsWhatWasCapturedWhileItWasQueued) {
  const std::vector<std::string> paths = {"a", "b", "c", "d"};
  EXPECT_EQ(paths_of_captured(paths, {1, 1, 4, 5}), (std::vector<std::string>{"a", "c", "c", "c", "d"}));
  EXPECT_TRUE(paths_of_captured({}, {}).empty());
}

TEST(Timeline, IsAFileOfTraceEvents) {
  const nlohmann::json file = nlohmann::json::parse(timeline_json(sample()));
  EXPECT_EQ(file["otherData"]["steps"], 1);
  EXPECT_EQ(file["otherData"]["event_waits"], 1);
  std::vector<nlohmann::json> events, names;
  for (const auto& e : file["traceEvents"]) (e["ph"] == "X" ? events : names).push_back(e);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0]["name"], "step 3");
  EXPECT_EQ(events[0]["ts"], 0);
  EXPECT_EQ(events[0]["dur"], 8.0);
  const nlohmann::json& copy = events[1];
  EXPECT_EQ(copy["ts"], 0.5);
  EXPECT_EQ(copy["dur"], 1.0);
  EXPECT_EQ(copy["tid"], 14);
  EXPECT_EQ(copy["args"]["bytes"], 50000);
  EXPECT_EQ(copy["args"]["GB/s"], 50.0);
  EXPECT_EQ(events[3]["args"]["node"], "layers.3.mlp (swiglu)");
  EXPECT_EQ(events[3]["pid"], copy["pid"]) << "both on the GPU";
  EXPECT_NE(events[2]["pid"], copy["pid"]) << "the host";
  EXPECT_EQ(events[2]["tid"], 77);
  EXPECT_FALSE(events[4]["args"].contains("GB/s")) << "no time passed";
  std::set<std::string> tracks;
  for (const auto& n : names) tracks.insert(n["args"]["name"].get<std::string>());
  for (const char* name : {"GPU", "host", "stream 13", "stream 14", "steps", "CUDA calls of thread 77"}) {
    EXPECT_TRUE(tracks.contains(name)) << name;
  }
  EXPECT_NO_THROW(timeline_json({}));
  expect_parts(summary_text(summarise(sample())), {"in the 1 traced steps: 0 allocations"});
}

TEST(Timeline, SaysWhatATraceNeeds) {
  try {
    const auto trace = CudaTrace::load();
    trace->start();
    trace->stop();
    EXPECT_TRUE(trace->take().records.empty());
  } catch (const DeviceError& e) {
    EXPECT_NE(std::string(e.what()).find("CUPTI"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace lethe::test
