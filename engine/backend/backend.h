// How programs get memory and run, for one kind of device.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "engine/planner.h"

namespace lethe {

// A program bound to its place in an arena, ready to run again and again.
class Executable {
 public:
  virtual ~Executable() = default;
  virtual void run() = 0;
  // Seconds each node took, summed over the runs since profiling was switched on; empty if it is off.
  virtual std::vector<double> node_seconds() const { return {}; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Zeroed memory, aligned to kAlignment. Throws MemoryError if the device has not that much.
  virtual std::shared_ptr<void> allocate(int64_t bytes) = 0;
  virtual std::unique_ptr<Executable> compile(const Tape& tape, const ProgramPlan& plan, void* arena) = 0;
  // Moves bytes between host memory and the device's.
  virtual void upload(void* device, const void* host, int64_t bytes) = 0;
  virtual void download(void* host, const void* device, int64_t bytes) = 0;
  virtual int threads() const = 0;
};

struct CpuOptions {
  int threads = 0;       // 0: one per core the process may use
  bool profile = false;  // time every node
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

}  // namespace lethe
