// Inside MatmulLibrary: a product in cuBLASLt's terms, and the algorithms that the library offers for it. One
// of our own (kernels/cuda/matmul_thin.h) may stand wherever a MatmulAlgorithm does.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "kernels/matmul.h"

namespace lethe::kernels::cuda {

// Throws std::runtime_error naming the call.
void check_cublas(cublasStatus_t status, const char* what);

// The descriptors of one product and the algorithm picked for it; has_algorithm is false where the library
// offers none.
struct MatmulLibrary::Plan {
  MatmulProduct product;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  MatmulAlgorithm algorithm{};
  bool has_algorithm = false;
  bool is_tuned = false;    // learned or timed, not guessed
  double microseconds = 0;  // of the tuned algorithm
  int64_t uses = 0;

  explicit Plan(const MatmulProduct& described);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // The product with any algorithm, where run() takes the plan's own.
  cublasStatus_t queue(cublasLtHandle_t handle, const MatmulAlgorithm& with, double alpha, const void* a,
                       const void* b, void* c, void* workspace, Stream stream) const;
};

struct MatmulLibrary::Parts {
  cublasLtHandle_t handle = nullptr;
  std::unordered_map<MatmulProduct, Plan, MatmulProductHash> plans;
  MatmulChoices learned;

  // The plan of a product, made if need be.
  Plan& at(const MatmulProduct& product);
};

// What the library offers, its best guess first; at most `count`, none that needs more than `workspace` bytes
// or rounds a partial sum to bf16.
std::vector<cublasLtMatmulHeuristicResult_t> offers(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan,
                                                    int64_t workspace, int count);

// Which offer is used untuned. The first is the library's best guess. Where it would leave most of the GPU
// idle, as for a weight gradient with few outputs and a long sum, the one that fills most of it is better.
size_t untuned(const std::vector<cublasLtMatmulHeuristicResult_t>& offered);

// Whether a kept algorithm of the library's, which would sum as offers' do, or of ours can compute the
// product.
bool is_fit(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan, const MatmulAlgorithm& kept);

MatmulAlgorithm encoded(const cublasLtMatmulAlgo_t& algorithm);
cublasLtMatmulAlgo_t decoded(const MatmulAlgorithm& algorithm);

}  // namespace lethe::kernels::cuda
