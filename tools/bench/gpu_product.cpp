// cuBLASLt's own best for one product. It is column-major: asked for C^T = op(B)^T op(A)^T, it leaves the
// row-major C in memory.
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/random.h"
#include "tools/bench/gpu_limits.h"
#include "tools/bench/gpu_memory.h"

namespace lethe {
namespace {

using kernels::MatmulForm;

constexpr int kCandidates = 16, kRounds = 5;
constexpr int64_t kWorkspace = int64_t{64} << 20;

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceError("cuBLASLt", std::string(what) + ": " + cublasLtGetStatusString(status));
}

cudaDataType_t cuda_type(DType dtype) {
  return dtype == DType::f64 ? CUDA_R_64F : dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

// Owns what describes one product to the library.
struct Description {
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;

  explicit Description(const MatrixProduct& p);
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;
  ~Description() {
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    for (const cublasLtMatrixLayout_t layout : {first, second, result}) {
      if (layout) cublasLtMatrixLayoutDestroy(layout);
    }
    if (product) cublasLtMatmulDescDestroy(product);
    if (handle) cublasLtDestroy(handle);
  }
};

Description::Description(const MatrixProduct& p) {
  const bool wide = p.c == DType::f64, nt = p.form == MatmulForm::nt, tn = p.form == MatmulForm::tn;
  check(cublasLtCreate(&handle), "start");
  check(cublasLtMatmulDescCreate(&product, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F),
        "descriptor");
  const cublasOperation_t turned = CUBLAS_OP_T;
  const auto turn = [&](cublasLtMatmulDescAttributes_t which) {
    check(cublasLtMatmulDescSetAttribute(product, which, &turned, sizeof turned), "transpose");
  };
  if (nt) turn(CUBLASLT_MATMUL_DESC_TRANSA);
  if (tn) turn(CUBLASLT_MATMUL_DESC_TRANSB);
  const auto layout = [](cublasLtMatrixLayout_t& made, DType dtype, int64_t rows, int64_t width) {
    check(cublasLtMatrixLayoutCreate(&made, cuda_type(dtype), static_cast<uint64_t>(width),
                                     static_cast<uint64_t>(rows), width),
          "layout");
  };
  layout(first, p.b, nt ? p.n : p.k, nt ? p.k : p.n);
  layout(second, p.a, tn ? p.k : p.m, tn ? p.m : p.k);
  layout(result, p.c, p.m, p.n);
  const auto most = static_cast<uint64_t>(kWorkspace);
  check(cublasLtMatmulPreferenceCreate(&preference), "preference");
  check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most,
                                             sizeof most),
        "preference");
}

std::vector<cublasLtMatmulAlgo_t> candidates(const Description& d) {
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
  int count = 0;
  if (cublasLtMatmulAlgoGetHeuristic(d.handle, d.product, d.first, d.second, d.result, d.result, d.preference,
                                     kCandidates, found.data(), &count) != CUBLAS_STATUS_SUCCESS) {
    return {};
  }
  std::vector<cublasLtMatmulAlgo_t> usable;
  for (int i = 0; i < count; ++i) {
    const auto& candidate = found[static_cast<size_t>(i)];
    if (candidate.state == CUBLAS_STATUS_SUCCESS) usable.push_back(candidate.algo);
  }
  return usable;
}

// rows x width random numbers: constant ones would let the GPU draw less power and clock higher.
std::shared_ptr<void> operand(DType dtype, int64_t elements, uint64_t stream, const GpuTimer& timer) {
  auto memory = gpu_memory(elements * size_of(dtype), "a product's operand");
  dispatch_float(dtype, "operand", [&]<class T>() {
    const kernels::Rows<T> rows{static_cast<T*>(memory.get()), 1, elements, elements};
    kernels::cuda::uniform<T>(rows, 0.5, {1, stream}, timer.stream());
  });
  return memory;
}

}  // namespace

double best_product_seconds(const MatrixProduct& p) {
  if (p.a != p.b || p.m == 0 || p.n == 0 || p.k == 0) return 0;
  const Description d(p);
  const std::vector<cublasLtMatmulAlgo_t> algorithms = candidates(d);
  if (algorithms.empty()) return 0;
  const GpuTimer timer;
  const auto a = operand(p.a, p.m * p.k, 1, timer), b = operand(p.b, p.n * p.k, 2, timer);
  const auto c = operand(p.c, p.m * p.n, 3, timer), workspace = gpu_memory(kWorkspace, "a workspace");
  const double one = 1, keep = p.accumulates ? 1 : 0;
  const float one_f = 1, keep_f = static_cast<float>(keep);
  const bool wide = p.c == DType::f64;
  const auto queue = [&](const cublasLtMatmulAlgo_t& algorithm) {
    check(cublasLtMatmul(d.handle, d.product, wide ? static_cast<const void*>(&one) : &one_f, b.get(),
                         d.first, a.get(), d.second, wide ? static_cast<const void*>(&keep) : &keep_f,
                         c.get(), d.result, c.get(), d.result, &algorithm, workspace.get(),
                         static_cast<size_t>(kWorkspace), timer.stream()),
          "product");
  };
  std::vector<std::vector<double>> seconds(algorithms.size());
  for (int round = 0; round <= kRounds; ++round) {
    for (size_t i = 0; i < algorithms.size(); ++i) {
      const double taken = timer.seconds([&] { queue(algorithms[i]); });
      if (round > 0) seconds[i].push_back(taken);  // the first loads the kernels
    }
  }
  double best = 0;
  for (auto& times : seconds) {
    std::ranges::nth_element(times, times.begin() + kRounds / 2);
    const double median = times[kRounds / 2];
    if (best == 0 || median < best) best = median;
  }
  return best;
}

}  // namespace lethe
