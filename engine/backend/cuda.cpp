// The CUDA backend: one stream of one GPU, one allocation of exactly the planned bytes. Uploads, downloads
// and programs are all queued on the stream, so they happen in the order they were asked for.
#include <fmt/format.h>

#include <cstdlib>

#include "engine/backend/cuda_executable.h"
#include "engine/backend/cuda_matmuls.h"

namespace lethe {
namespace {

// Where plans of attention are kept between processes; empty where the user has no folder of his own.
std::string attention_plan_folder() {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache && *cache == '/') return fmt::format("{}/lethe/attention", cache);
  return home && *home == '/' ? fmt::format("{}/.cache/lethe/attention", home) : "";
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options) : options_(options) {
    check_cuda(cudaSetDevice(0), "the first GPU");
    cudaStream_t made = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreate");
    stream_ = {made, [](cudaStream_t s) { cudaStreamDestroy(s); }};
    matmuls_ = std::make_unique<CudaMatmuls>(options_);
    attention_ = std::make_unique<kernels::cuda::AttentionLibrary>(attention_plan_folder());
  }

  std::shared_ptr<void> allocate(int64_t bytes) override {
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    void* memory = nullptr;
    const auto wanted = static_cast<size_t>(std::max(bytes, kAlignment));
    if (wanted > free) {
      throw MemoryError("arena", fmt::format("{} bytes do not fit the GPU's memory: {} of its {} are free",
                                             bytes, free, total));
    }
    check_cuda(cudaMalloc(&memory, wanted), "cudaMalloc");
    std::shared_ptr<void> owned(memory, [](void* p) { cudaFree(p); });
    check_cuda(cudaMemsetAsync(memory, 0, wanted, stream_.get()), "cudaMemset");
    wait();
    return owned;
  }

  std::unique_ptr<Executable> compile(const Tape& tape, const ProgramPlan& plan, void* arena) override {
    auto made = std::make_unique<CudaExecutable>(tape, plan, arena, stream_.get(), matmuls_->library(),
                                                 *attention_, options_);
    matmuls_->report();
    return made;
  }

  std::vector<kernels::MatmulTuning> tune_products(const kernels::MatmulTuneOptions& options) override {
    return matmuls_->tune(options, stream_.get());
  }
  std::string tuned_products_file() const override { return matmuls_->file(); }

  void upload(void* device, const void* host, int64_t bytes) override {
    check_cuda(
        cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_.get()),
        "upload");
    wait();  // the caller's memory may go
  }
  void download(void* host, const void* device, int64_t bytes) override {
    check_cuda(
        cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_.get()),
        "download");
    wait();
  }
  void wait() override { check_cuda(cudaStreamSynchronize(stream_.get()), "the GPU's queued work"); }

  int threads() const override { return 1; }
  Device device() const override { return {DeviceKind::cuda, 1}; }

 private:
  CudaOptions options_;
  std::shared_ptr<CUstream_st> stream_;
  std::unique_ptr<CudaMatmuls> matmuls_;
  std::unique_ptr<kernels::cuda::AttentionLibrary> attention_;
};

}  // namespace

bool cuda_is_available() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  cudaGetLastError();  // having none is no error of a later call
  return found;
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  if (!cuda_is_available()) throw DeviceError("cuda", "this machine has no GPU that CUDA can use");
  return std::make_unique<CudaBackend>(options);
}

}  // namespace lethe
