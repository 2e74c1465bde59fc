// Times what cuBLASLt and our own kernels offer for a product, on operands of its own.
#pragma once

#include <array>

#include "kernels/cuda/matmul_candidates.h"

namespace lethe::kernels::cuda {

// Device memory that grows.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { cudaFree(data_); }

  // False where the device has not that much. What it held may be lost.
  bool reserve(int64_t bytes);
  // An address aligned to this many bytes, a power of two, and below 256 to no more.
  void* at(int64_t alignment = kAligned) const {
    return static_cast<unsigned char*>(data_) + (alignment < kAligned ? alignment : 0);
  }
  static constexpr int64_t kAligned = 256;

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

class Trial {
 public:
  Trial(cublasLtHandle_t handle, cudaStream_t stream);

  // Gives the plan its fastest algorithm, if the operands fit the free memory.
  MatmulTuning time(MatmulLibrary::Plan& plan);

 private:
  bool reserve(const MatmulProduct& product, size_t candidates);
  void* operand(const MatmulProduct& product, size_t i) const;
  void fill(const MatmulProduct& product, size_t i, double deviation);
  // Each candidate that is left once, `first` before the others. The first round, in which kernels are
  // loaded, is not timed.
  void round(const MatmulLibrary::Plan& plan, const Candidates& candidates, size_t first, bool timed);
  // False where the library refuses the candidate. Adds a hash of the result to *bits.
  bool queue(const MatmulLibrary::Plan& plan, const Candidate& candidate, uint64_t* bits);

  cublasLtHandle_t handle_;
  cudaStream_t stream_;
  int64_t flush_bytes_ = 0;
  std::array<Scratch, 3> operands_;
  Scratch workspace_, flush_, bits_;
};

}  // namespace lethe::kernels::cuda
