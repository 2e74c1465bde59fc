// How programs get memory and run, for one kind of device.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend/row_sources.h"
#include "engine/backend/transfers.h"
#include "engine/planner.h"
#include "engine/position.h"
#include "kernels/matmul_product.h"

namespace lethe {

class CudaTrace;
class DeviceComm;

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

  // Moves bytes between host memory and the device's, in order with the programs; the host's memory is the
  // caller's again on return. The `rows` forms: rows of row_bytes without gaps on the host, `pitch` bytes
  // apart on the device.
  virtual void upload(void* device, const void* host, int64_t bytes) = 0;
  virtual void download(void* host, const void* device, int64_t bytes) = 0;
  virtual void upload_rows(void* device, int64_t pitch, const void* host, int64_t row_bytes, int64_t rows);
  virtual void download_rows(void* host, const void* device, int64_t pitch, int64_t row_bytes, int64_t rows);

  // Fills tensors as their sources make them, several pieces at a time, after the programs queued so far;
  // returns when all is there. No tensor is copied whole in the host's memory.
  virtual void upload_sources(std::span<const RowSource> sources);

  // The inputs of the next program: takes the host's bytes at once and returns. They arrive when the programs
  // queued so far are done and before any queued later. Parts that touch on the device travel as one.
  virtual void queue_uploads(std::span<const Upload> parts);
  // Values as they are when the programs queued so far are done. The ranges lie in one allocation.
  virtual std::unique_ptr<QueuedRead> queue_read(std::span<const DeviceRange> ranges);

  // An int64: the nanoseconds that programs stood still, so far, for nodes that run beside them (sums over
  // ranks). To be read behind them. Empty where nothing is counted: on a GPU without other ranks.
  virtual DeviceRange waited() const { return {}; }

  // Memory of the host that queue_copies is quickest with. Throws MemoryError if the system refuses.
  virtual std::shared_ptr<std::byte> allocate_host(int64_t bytes);
  // Copies what the programs queued so far leave on the device to memory of allocate_host, which must live
  // until the copies are done. Programs queued later run beside them: none may change what is copied until
  // hold_programs() was called.
  virtual std::unique_ptr<QueuedCopies> queue_copies(std::span<const Download> parts);

  // Where the programs are: of a device, how far the host has come in queueing them.
  const std::shared_ptr<Position>& position() const { return position_; }

  virtual int threads() const = 0;
  virtual Device device() const { return {DeviceKind::cpu, threads()}; }
  // Bytes of the device's own memory that an arena may have, and that were taken since the backend was made;
  // -1 where the device has no memory of its own.
  virtual int64_t free_memory() const { return -1; }
  virtual int64_t memory_used() const { return -1; }
  // Returns when all work queued so far is done; throws DeviceError if any of it failed.
  virtual void wait() {}

  // Times the algorithms that there are for the compiled programs' matrix products, uses the fastest from
  // then on and keeps them for later backends in a file (empty: there is no choice to be made, and no row).
  // Best before the programs' first run: what a graph has captured stays. Throws IoError if nothing can be
  // kept.
  virtual std::vector<kernels::MatmulTuning> tune_products(const kernels::MatmulTuneOptions&) { return {}; }
  virtual std::string tuned_products_file() const { return ""; }
  // Names what is queued until the end for tools that watch (NVTX).
  virtual void begin_range(const std::string&) {}
  virtual void end_range() {}

 private:
  std::shared_ptr<Position> position_ = std::make_shared<Position>();
};

struct CpuOptions {
  int threads = 0;       // 0: one per core the process may use
  bool profile = false;  // time every node
};

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

struct CudaOptions {
  bool graph = true;     // capture a program at its second run and replay it from then on
  bool profile = false;  // time every node, which rules a graph out
  int ordinal = 0;       // which GPU
  std::shared_ptr<CudaTrace> trace = nullptr;  // told what is launched; may be absent
  // Use the algorithms kept for matrix products (engine/backend/matmul_cache.h), in this folder or, where it
  // is empty, the user's. They are faster and may round otherwise than the library's own choice.
  bool tuned_products = true;
  std::string matmul_cache = {};
  std::shared_ptr<DeviceComm> comm = nullptr;  // of several ranks
};

// What keeps this build and machine from using a GPU: it is absent (a build without CUDA, no driver, no such
// GPU) or there and unfit (a driver or GPU that this build's code does not run on). text: what is missing and
// what would do.
struct CudaTrouble {
  enum class Kind : uint8_t { none, absent, unfit } kind = Kind::none;
  std::string text;
};
CudaTrouble cuda_trouble(int ordinal = 0);
bool cuda_is_available(int ordinal = 0);
// What tells a machine's GPUs apart whatever their numbers: the PCI bus id. Throws DeviceError; "" without
// CUDA.
std::string cuda_device_id(int ordinal);
// Throws DeviceError naming the trouble.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options = {});

struct BackendOptions {
  std::string device = "auto";  // auto: a GPU if there is one; cpu; cuda; cuda:N for the GPU with that number
  int threads = 0;              // of the CPU; 0: one per core the process may use
  bool graph = true;            // of the GPU: replay programs as graphs
  std::shared_ptr<CudaTrace> trace = nullptr;  // of the GPU; may be absent
  bool tuned_products = true;                  // of a GPU: as in CudaOptions
  std::string matmul_cache = {};
  std::shared_ptr<DeviceComm> comm = nullptr;  // of a GPU: of several ranks
};

// Whether `text` is what BackendOptions::device may be; the number of "cuda:N" goes to *ordinal.
bool parse_device(const std::string& text, int* ordinal = nullptr);

// Throws ConfigError for a device that this build or this machine has not got, DeviceError for a GPU or
// driver that does not fit this build. auto passes over such a GPU and says why on the log.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace lethe
