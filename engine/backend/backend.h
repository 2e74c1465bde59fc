// How programs get memory and run, for one kind of device.
#pragma once

#include <chrono>
#include <memory>
#include <string>
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
  virtual Device device() const { return {DeviceKind::cpu, threads()}; }
  // Returns when all work queued so far is done; throws DeviceError if any of it failed.
  virtual void wait() {}
};

struct CpuOptions {
  int threads = 0;       // 0: one per core the process may use
  bool profile = false;  // time every node
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

struct CudaOptions {
  bool graph = true;     // capture a program at its second run and replay it from then on
  bool profile = false;  // time every node, which rules a graph out
};

// Whether this build has the CUDA backend and the machine a GPU that it can use.
bool cuda_is_available();
// On the first GPU. Throws DeviceError without one, or in a build without CUDA.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options = {});

struct BackendOptions {
  std::string device = "auto";  // auto: a GPU if there is one; cpu; cuda
  int threads = 0;              // of the CPU; 0: one per core the process may use
};

// Throws ConfigError for a device that this build or this machine has not got.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace lethe
