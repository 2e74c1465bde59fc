// How programs get memory and run, for one kind of device.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/planner.h"
#include "kernels/matmul_product.h"

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

  // Times the algorithms that there are for the compiled programs' matrix products, uses the fastest from
  // then on and keeps them for later backends in a file (empty: there is no choice to be made, and no row).
  // Best before the programs' first run: what a graph has captured stays. Throws IoError if nothing can be
  // kept.
  virtual std::vector<kernels::MatmulTuning> tune_products(const kernels::MatmulTuneOptions&) { return {}; }
  virtual std::string tuned_products_file() const { return ""; }
};

struct CpuOptions {
  int threads = 0;       // 0: one per core the process may use
  bool profile = false;  // time every node
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

struct CudaOptions {
  bool graph = true;     // capture a program at its second run and replay it from then on
  bool profile = false;  // time every node, which rules a graph out
  // Use the algorithms kept for matrix products (engine/backend/matmul_cache.h), in this folder or, where it
  // is empty, the user's. They are faster and may round otherwise than the library's own choice.
  bool tuned_products = true;
  std::string matmul_cache = {};
};

// Whether this build has the CUDA backend and the machine a GPU that it can use.
bool cuda_is_available();
// On the first GPU. Throws DeviceError without one, or in a build without CUDA.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options = {});

struct BackendOptions {
  std::string device = "auto";  // auto: a GPU if there is one; cpu; cuda
  int threads = 0;              // of the CPU; 0: one per core the process may use
  bool tuned_products = true;   // of a GPU: as in CudaOptions
  std::string matmul_cache = {};
};

// Throws ConfigError for a device that this build or this machine has not got.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace lethe
