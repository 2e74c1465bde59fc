// cuBLASLt is column-major: it is asked for C^T = op(B)^T op(A)^T, which is the row-major C in memory. Float
// is multiplied in float, never TF32; bf16 is summed in float; sums split over k are joined in the compute
// type, in a fixed order.
#include "kernels/cuda/matmul_plan.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/cuda/matmul_thin.h"

namespace lethe::kernels::cuda {
namespace {

cudaDataType_t cuda_type(MatmulType type) {
  return type == MatmulType::f64 ? CUDA_R_64F : type == MatmulType::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

// Of the sums and of the factors.
cublasComputeType_t compute_type(MatmulType result) {
  return result == MatmulType::f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
}
cudaDataType_t scale_type(MatmulType result) {
  return result == MatmulType::f64 ? CUDA_R_64F : CUDA_R_32F;
}

cublasLtMatrixLayout_t layout(MatmulType type, int64_t rows, int64_t width, int64_t pitch) {
  cublasLtMatrixLayout_t made = nullptr;
  check_cublas(cublasLtMatrixLayoutCreate(&made, cuda_type(type), static_cast<uint64_t>(width),
                                          static_cast<uint64_t>(rows), pitch),
               "layout");
  return made;
}

// How the parts of a split sum may be joined. They are never rounded to bf16; in float and double the
// output's type is as good as the compute type. Joining in place is left out, whose order is the library's
// affair.
uint32_t schemes(const MatmulProduct& product) {
  constexpr uint32_t kCompute = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  return product.types[2] == MatmulType::bf16 ? kCompute : kCompute | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
}

}  // namespace

void check_cublas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
}

MatmulLibrary::Plan::Plan(const MatmulProduct& described) : product(described) {
  const auto& [form, types, m, n, k, pitches, alignments, write, workspace] = product;
  const bool nt = form == MatmulForm::nt, tn = form == MatmulForm::tn;
  check_cublas(cublasLtMatmulDescCreate(&description, compute_type(types[2]), scale_type(types[2])),
               "descriptor");
  const cublasOperation_t turned = CUBLAS_OP_T;
  const auto turn = [&](cublasLtMatmulDescAttributes_t which) {
    check_cublas(cublasLtMatmulDescSetAttribute(description, which, &turned, sizeof turned), "transpose");
  };
  if (nt) turn(CUBLASLT_MATMUL_DESC_TRANSA);
  if (tn) turn(CUBLASLT_MATMUL_DESC_TRANSB);
  first = layout(types[1], nt ? n : k, nt ? k : n, pitches[1]);
  second = layout(types[0], tn ? k : m, tn ? m : k, pitches[0]);
  result = layout(types[2], m, n, pitches[2]);
}

MatmulLibrary::Plan::~Plan() {
  if (first) cublasLtMatrixLayoutDestroy(first);
  if (second) cublasLtMatrixLayoutDestroy(second);
  if (result) cublasLtMatrixLayoutDestroy(result);
  if (description) cublasLtMatmulDescDestroy(description);
}

cublasStatus_t MatmulLibrary::Plan::queue(cublasLtHandle_t handle, const MatmulAlgorithm& with, double alpha,
                                          const void* a, const void* b, void* c, void* workspace,
                                          Stream stream) const {
  if (const auto own = own_algorithm(with)) {
    const cudaError_t status = kernels::cuda::queue(product, *own, static_cast<float>(alpha), a, b, c,
                                                    static_cast<cudaStream_t>(stream));
    return status == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  }
  const cublasLtMatmulAlgo_t theirs = decoded(with);
  // The factors come in the compute type.
  const bool wide = product.types[2] == MatmulType::f64;
  const double keep = product.write == Write::accumulate ? 1 : 0;
  const auto alpha_float = static_cast<float>(alpha), keep_float = static_cast<float>(keep);
  const void* const factor = wide ? static_cast<const void*>(&alpha) : &alpha_float;
  const void* const kept = wide ? static_cast<const void*>(&keep) : &keep_float;
  return cublasLtMatmul(handle, description, factor, b, first, a, second, kept, c, result, c, result, &theirs,
                        workspace, static_cast<size_t>(product.workspace), static_cast<cudaStream_t>(stream));
}

std::vector<cublasLtMatmulHeuristicResult_t> offers(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan,
                                                    int64_t workspace, int count) {
  cublasLtMatmulPreference_t preference = nullptr;
  check_cublas(cublasLtMatmulPreferenceCreate(&preference), "preference");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, which, &value, sizeof value), "preference");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace));
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes(plan.product));
  const auto aligned = [&](size_t operand) {
    return static_cast<uint32_t>(plan.product.alignments[operand]);
  };
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned(1));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned(0));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned(2));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned(2));
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(count));
  int offered = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, plan.description, plan.first, plan.second, plan.result,
                                     plan.result, preference, count, found.data(), &offered);
  cublasLtMatmulPreferenceDestroy(preference);
  found.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<size_t>(offered) : 0);
  std::erase_if(found, [](const auto& offer) { return offer.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

size_t untuned(const std::vector<cublasLtMatmulHeuristicResult_t>& offered) {
  constexpr float kMostlyIdle = 0.5f;
  size_t best = 0;
  for (size_t i = 0; i < offered.size(); ++i) {
    if (offered[i].wavesCount >= kMostlyIdle) return i;
    if (offered[i].wavesCount > offered[best].wavesCount) best = i;
  }
  return best;
}

bool is_fit(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan, const MatmulAlgorithm& kept) {
  if (const auto own = own_algorithm(kept)) return is_fit(plan.product, *own);
  const cublasLtMatmulAlgo_t algorithm = decoded(kept);
  const auto attribute = [&](cublasLtMatmulAlgoConfigAttributes_t which, auto& value) {
    size_t written = 0;
    return cublasLtMatmulAlgoConfigGetAttribute(&algorithm, which, &value, sizeof value, &written) ==
           CUBLAS_STATUS_SUCCESS;
  };
  int32_t id = 0;
  uint32_t scheme = 0;
  if (!attribute(CUBLASLT_ALGO_CONFIG_ID, id) || !attribute(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, scheme)) {
    return false;
  }
  // An algorithm that there is: what follows in the encoding is only then asked about.
  const auto& types = plan.product.types;
  const cudaDataType_t result = cuda_type(types[2]);
  cublasLtMatmulAlgo_t known;
  if (cublasLtMatmulAlgoInit(handle, compute_type(types[2]), scale_type(types[2]), cuda_type(types[1]),
                             cuda_type(types[0]), result, result, id, &known) != CUBLAS_STATUS_SUCCESS) {
    return false;
  }
  cublasLtMatmulHeuristicResult_t checked{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, plan.description, plan.first, plan.second,
                                                        plan.result, plan.result, &algorithm, &checked);
  return status == CUBLAS_STATUS_SUCCESS && (scheme & ~schemes(plan.product)) == 0 &&
         checked.workspaceSize <= static_cast<size_t>(plan.product.workspace);
}

MatmulAlgorithm encoded(const cublasLtMatmulAlgo_t& algorithm) {
  static_assert(sizeof(MatmulAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
  MatmulAlgorithm code;
  std::memcpy(code.data(), &algorithm, sizeof algorithm);
  return code;
}

cublasLtMatmulAlgo_t decoded(const MatmulAlgorithm& algorithm) {
  cublasLtMatmulAlgo_t made;
  std::memcpy(&made, algorithm.data(), sizeof made);
  return made;
}

}  // namespace lethe::kernels::cuda
