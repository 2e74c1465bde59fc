// One candidate after the other would measure how the clock and the power drift, so they take turns; each
// finds the second-level cache full of something else, as a step's kernels do; and the median of its turns
// counts.
#include "kernels/cuda/matmul_trial.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/matmul_operands.h"

namespace lethe::kernels::cuda {
namespace {

constexpr size_t kScreening = 3;  // rounds in which all take part,
constexpr size_t kFinals = 8;     // and further ones for those that may win

}  // namespace

bool Scratch::reserve(int64_t bytes) {
  if (bytes <= bytes_) return true;
  cudaFree(data_);
  data_ = nullptr;
  bytes_ = 0;
  if (cudaMalloc(&data_, static_cast<size_t>(bytes)) != cudaSuccess) {
    cudaGetLastError();  // having too little is no error of a later call
    data_ = nullptr;
    return false;
  }
  bytes_ = bytes;
  return true;
}

Trial::Trial(cublasLtHandle_t handle, cudaStream_t stream) : handle_(handle), stream_(stream) {
  int device = 0, cache = 0;
  check_tuning(cudaGetDevice(&device), "cudaGetDevice");
  check_tuning(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), "the size of its cache");
  flush_bytes_ = 4 * static_cast<int64_t>(std::max(cache, 1 << 20));
}

MatmulTuning Trial::time(MatmulLibrary::Plan& plan) {
  MatmulTuning result{.product = plan.product, .uses = plan.uses};
  const Candidates candidates = candidates_of(handle_, plan);
  if (candidates.empty()) {
    result.not_timed = "the library offers no algorithm";
    return result;
  }
  if (!reserve(plan.product, candidates.size())) {
    result.not_timed = "its operands do not fit the free memory";
    return result;
  }
  // Activations of variance 1 and weights that keep it.
  const double keeping = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(plan.product.k, 1)));
  for (size_t i = 0; i < operands_.size(); ++i) fill(plan.product, i, i == 1 ? keeping : 1);
  round(plan, candidates, 0, false);
  for (size_t r = 0; r < kScreening; ++r) round(plan, candidates, r, true);
  choose_finalists(candidates);
  for (size_t r = 0; r < kFinals; ++r) round(plan, candidates, r, true);
  choose_winner(candidates, plan, result);
  return result;
}

bool Trial::reserve(const MatmulProduct& product, size_t candidates) {
  bool fits = flush_.reserve(flush_bytes_) && workspace_.reserve(product.workspace) &&
              bits_.reserve(static_cast<int64_t>(candidates * sizeof(uint64_t)));
  for (size_t i = 0; i < operands_.size(); ++i) {
    fits = fits && operands_[i].reserve(product.bytes(i) + Scratch::kAligned);
  }
  return fits;
}

void* Trial::operand(const MatmulProduct& product, size_t i) const {
  return operands_[i].at(product.alignments[i]);
}

void Trial::fill(const MatmulProduct& product, size_t i, double deviation) {
  const MatmulType type = product.types[i];
  fill_random(type, operand(product, i), product.bytes(i) / size_of(type), deviation, i + 1, stream_);
  check_tuning(cudaGetLastError(), "random operands");
}

void Trial::round(const MatmulLibrary::Plan& plan, const Candidates& candidates, size_t first, bool timed) {
  const size_t n = candidates.size();
  auto* const sums = static_cast<uint64_t*>(bits_.at());
  check_tuning(cudaMemsetAsync(sums, 0, n * sizeof(uint64_t), stream_), "cudaMemset");
  for (size_t i = 0; i < n; ++i) {
    const size_t at = (first + i) % n;
    Candidate& c = *candidates[at];
    if (c.runs && c.in_finals) c.runs = queue(plan, c, sums + at);
  }
  std::vector<uint64_t> bits(n);
  check_tuning(cudaMemcpyAsync(bits.data(), sums, n * sizeof(uint64_t), cudaMemcpyDeviceToHost, stream_),
               "results");
  check_tuning(cudaStreamSynchronize(stream_), "a candidate");
  for (size_t i = 0; i < n; ++i) {
    Candidate& c = *candidates[i];
    if (!c.runs || !c.in_finals) continue;
    if (!timed) {
      c.bits = bits[i];
      continue;
    }
    float milliseconds = 0;
    check_tuning(cudaEventElapsedTime(&milliseconds, c.before.event, c.after.event), "cudaEventElapsedTime");
    c.microseconds.push_back(1000 * static_cast<double>(milliseconds));
    c.runs = bits[i] == c.bits;
  }
}

bool Trial::queue(const MatmulLibrary::Plan& plan, const Candidate& candidate, uint64_t* bits) {
  const MatmulProduct& product = plan.product;
  if (product.write == Write::accumulate) fill(product, 2, 1);
  check_tuning(cudaMemsetAsync(flush_.at(), 1, static_cast<size_t>(flush_bytes_), stream_), "cudaMemset");
  check_tuning(cudaEventRecord(candidate.before.event, stream_), "cudaEventRecord");
  void* const workspace = product.workspace > 0 ? workspace_.at() : nullptr;
  const cublasStatus_t status = plan.queue(handle_, candidate.algorithm, 1, operand(product, 0),
                                           operand(product, 1), operand(product, 2), workspace, stream_);
  check_tuning(cudaEventRecord(candidate.after.event, stream_), "cudaEventRecord");
  if (status != CUBLAS_STATUS_SUCCESS) {
    cudaGetLastError();  // a refused launch is no error of a later call
    return false;
  }
  add_fingerprint(operand(product, 2), product.bytes(2), bits, stream_);
  check_tuning(cudaGetLastError(), "a candidate's result");
  return true;
}

}  // namespace lethe::kernels::cuda
