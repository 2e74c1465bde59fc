// The CUDA backend: one GPU, one allocation of exactly the planned bytes. Programs, uploads and downloads are
// queued on one stream, so they happen in the order they were asked for; inputs come on a stream of their own
// and are waited for there.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/architectures.h"
#include "engine/backend/cuda_copies.h"
#include "engine/backend/cuda_executable.h"
#include "engine/backend/cuda_inputs.h"
#include "engine/backend/cuda_matmuls.h"
#include "engine/backend/cuda_ranges.h"
#include "engine/backend/cuda_reads.h"
#include "engine/backend/cuda_row_sources.h"
#include "engine/backend/cuda_staging.h"
#include "engine/backend/libraries.h"
#include "engine/backend/user_cache.h"
#include "engine/comm/device_comm.h"

namespace lethe {
namespace {

// What an arena leaves to the GPU's context: kernels are loaded when they are first used, and libraries keep
// tables of their own.
constexpr int64_t kReserve = int64_t{256} << 20;

struct DeviceMemory {
  int64_t free = 0, total = 0;
};

DeviceMemory device_memory() {
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options)
      : options_(options),
        stream_(make_stream_on(options.ordinal)),
        beside_(make_stream()),
        inputs_(stream_.get()),
        reads_(stream_.get()),
        copies_(stream_.get(), options.ordinal),
        staging_(stream_.get()) {
    matmuls_ = std::make_unique<CudaMatmuls>(options_);
    attention_ = std::make_unique<kernels::cuda::AttentionLibrary>(user_cache_folder("attention"));
    if (options_.comm) waited_ = make_stopwatch(stream_.get());
    free_at_start_ = device_memory().free;
  }

  std::shared_ptr<void> allocate(int64_t bytes) override {
    const DeviceMemory memory = device_memory();
    void* made = nullptr;
    const int64_t wanted = std::max(bytes, kAlignment);
    if (wanted > memory.free) {
      throw MemoryError("arena", fmt::format("{} bytes do not fit the GPU's memory: {} of its {} are free",
                                             bytes, memory.free, memory.total));
    }
    check_cuda(cudaMalloc(&made, static_cast<size_t>(wanted)), "cudaMalloc");
    std::shared_ptr<void> owned(made, [](void* p) { cudaFree(p); });
    check_cuda(cudaMemsetAsync(made, 0, static_cast<size_t>(wanted), stream_.get()), "cudaMemset");
    wait();
    if (options_.comm) options_.comm->register_memory(made, wanted);
    return owned;
  }

  std::unique_ptr<Executable> compile(const Tape& tape, const ProgramPlan& plan, void* arena) override {
    const CudaExecutable::Streams streams{stream_.get(), beside_.get(), waited_.get()};
    auto made = std::make_unique<CudaExecutable>(tape, plan, arena, streams, matmuls_->library(), *attention_,
                                                 position(), options_);
    matmuls_->report();
    return made;
  }

  std::vector<kernels::MatmulTuning> tune_products(const kernels::MatmulTuneOptions& options) override {
    return matmuls_->tune(options, stream_.get());
  }
  std::string tuned_products_file() const override { return matmuls_->file(); }

  void upload(void* device, const void* host, int64_t bytes) override {
    staging_.upload(device, bytes, host, bytes, 1);
  }
  void download(void* host, const void* device, int64_t bytes) override {
    staging_.download(host, device, bytes, bytes, 1);
  }
  void upload_rows(void* device, int64_t pitch, const void* host, int64_t row_bytes, int64_t rows) override {
    staging_.upload(device, pitch, host, row_bytes, rows);
  }
  void download_rows(void* host, const void* device, int64_t pitch, int64_t row_bytes,
                     int64_t rows) override {
    staging_.download(host, device, pitch, row_bytes, rows);
  }
  void upload_sources(std::span<const RowSource> sources) override {
    upload_sources_to_gpu(sources, options_.ordinal, stream_.get());
  }
  void queue_uploads(std::span<const Upload> parts) override { inputs_.queue(parts); }
  std::unique_ptr<QueuedRead> queue_read(std::span<const DeviceRange> ranges) override {
    return reads_.queue(ranges);
  }
  DeviceRange waited() const override {
    return waited_ ? DeviceRange{&waited_->nanoseconds, sizeof waited_->nanoseconds} : DeviceRange{};
  }
  std::shared_ptr<std::byte> allocate_host(int64_t bytes) override {
    return try_allocate_pinned(std::max<int64_t>(bytes, 1));
  }
  std::unique_ptr<QueuedCopies> queue_copies(std::span<const Download> parts) override {
    return copies_.queue(parts);
  }
  void wait() override { check_cuda(cudaStreamSynchronize(stream_.get()), "the GPU's queued work"); }

  int threads() const override { return 1; }
  Device device() const override { return {DeviceKind::cuda, 1}; }
  int64_t free_memory() const override { return std::max<int64_t>(0, device_memory().free - kReserve); }
  int64_t memory_used() const override { return free_at_start_ - device_memory().free; }
  void begin_range(const std::string& name) override {
    push_range(name);
    if (options_.trace) options_.trace->begin_range(name);
  }
  void end_range() override {
    if (options_.trace) options_.trace->end_range();
    pop_range();
  }

 private:
  static CudaStream make_stream_on(int ordinal) {
    check_cuda(cudaSetDevice(ordinal), fmt::format("GPU {}", ordinal));
    return make_stream();
  }

  static std::shared_ptr<kernels::Stopwatch> make_stopwatch(cudaStream_t stream) {
    void* made = nullptr;
    check_cuda(cudaMalloc(&made, sizeof(kernels::Stopwatch)), "cudaMalloc");
    std::shared_ptr<kernels::Stopwatch> owned(static_cast<kernels::Stopwatch*>(made),
                                              [](kernels::Stopwatch* p) { cudaFree(p); });
    check_cuda(cudaMemsetAsync(made, 0, sizeof(kernels::Stopwatch), stream), "cudaMemset");
    return owned;
  }

  CudaOptions options_;
  CudaStream stream_, beside_;
  CudaInputs inputs_;
  CudaReads reads_;
  CudaCopies copies_;
  CudaStaging staging_;
  std::unique_ptr<CudaMatmuls> matmuls_;
  std::unique_ptr<kernels::cuda::AttentionLibrary> attention_;
  std::shared_ptr<kernels::Stopwatch> waited_;  // of several ranks
  int64_t free_at_start_ = 0;
};

}  // namespace

CudaTrouble cuda_trouble(int ordinal) {
  using enum CudaTrouble::Kind;
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (std::string trouble = driver_trouble(driver, compiled_runtime()); !trouble.empty()) {
    return {driver == 0 ? absent : unfit, std::move(trouble)};
  }
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();  // having none is no error of a later call
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    return {absent, "no GPU is visible"};
  }
  if (status != cudaSuccess) return {unfit, std::string("the driver says: ") + cudaGetErrorString(status)};
  if (ordinal < 0 || ordinal >= count) {
    return {absent, fmt::format("there is no GPU {}; {} visible", ordinal, count)};
  }
  int major = 0, minor = 0;
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal),
             "compute capability");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal),
             "compute capability");
  std::string trouble = gpu_trouble(fmt::format("GPU {}", ordinal), major, minor);
  const auto kind = trouble.empty() ? none : unfit;
  return {kind, std::move(trouble)};
}

LibraryVersions cuda_libraries() {
  int runtime = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const auto text = [](int64_t number) {
    return number == 0 ? "absent" : fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
  };
  return {{"CUDA runtime", fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10)},
          {"cuBLAS", text(kernels::cuda::MatmulLibrary::version())},
          {"cuDNN", text(kernels::cuda::AttentionLibrary::version())}};
}

std::string cuda_device_id(int ordinal) {
  std::array<char, 32> id{};
  check_cuda(cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), ordinal),
             fmt::format("GPU {}", ordinal));
  return id.data();
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  if (const CudaTrouble trouble = cuda_trouble(options.ordinal); trouble.kind != CudaTrouble::Kind::none) {
    throw DeviceError("cuda", trouble.text);
  }
  return std::make_unique<CudaBackend>(options);
}

}  // namespace lethe
