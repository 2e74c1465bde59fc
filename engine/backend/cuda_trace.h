// What the GPU does and which node asked for it: CUPTI's activity records, collected while a trace runs
// (CUPTI documentation, "CUPTI Activity API"). The library is loaded when a trace is wanted and not before.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/timeline.h"

namespace lethe {

class CudaTrace {
 public:
  // Loads CUPTI and tells it to watch; to be called before the backend is made, so that it sees the graphs'
  // kernels too. One at a time. Throws DeviceError naming what is missing.
  static std::shared_ptr<CudaTrace> load();
  ~CudaTrace();
  CudaTrace(const CudaTrace&) = delete;
  CudaTrace& operator=(const CudaTrace&) = delete;

  // Only what happens between the two is kept.
  void start();
  // Call it when the device has nothing left to do.
  void stop();
  bool running() const;

  // What is launched until pop() belongs to these nodes: to the only one, or, of a graph, its n-th piece of
  // work to the n-th.
  using Paths = std::shared_ptr<const std::vector<std::string>>;
  void push(Paths paths);
  void pop();
  // A range of the host's own.
  void begin_range(const std::string& name);
  void end_range();

  // What was kept, in order of time; leaves nothing behind.
  Timeline take();

 private:
  struct Parts;
  explicit CudaTrace(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lethe
