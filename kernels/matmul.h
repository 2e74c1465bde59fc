// C = alpha * op(A) * op(B), or C += ..., in the three forms that training a linear map y = x W^T needs:
//   nt   C[m, n] = A[m, k] B[n, k]^T     y  = x W^T
//   nn   C[m, n] = A[m, k] B[k, n]       dx = dy W
//   tn   C[m, n] = A[k, m]^T B[k, n]     dW = dy^T x
// Operands may be stored in different types: double with double, or any mix of float and bf16, which is
// multiplied and summed in float and rounded once to C's type.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/matmul_product.h"
#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// Any dimension may be 0; an empty sum is zero. The output is cut into tiles by the sizes alone, each
// computed by one thread: the result does not depend on the number of threads. workspace:
// matmul_workspace_bytes() for as many threads as Team::current() has.
template <class A, class B, class C>
void matmul(MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b, Rows<C> c, Write write,
            void* workspace);

// Scratch for operands and outputs stored in bf16; 0 where there are none.
template <class A, class B, class C>
int64_t matmul_workspace_bytes(int64_t m, int64_t n, int64_t k, int threads);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

// cuBLASLt, and the algorithm picked for each product seen so far: one that was learned, which may be one of
// our own, else the library's guess. Not for use by several threads at once. Where the library fails,
// std::runtime_error.
class MatmulLibrary {
 public:
  struct Plan;
  struct Parts;
  MatmulLibrary();
  ~MatmulLibrary();
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;

  static int64_t version();

  // Choices for products planned from now on. One that this library and GPU refuse, or whose sums would be
  // rounded otherwise than matmul says, is passed over.
  void learn(const MatmulChoices& choices);

  // Picks an algorithm unless one was picked for such a product before; null where the library has none. Work
  // of the host: to be done before a program is timed or captured.
  const Plan* plan(const MatmulProduct& product);
  // The same, counting the uses.
  const Plan* prepare(const MatmulProduct& product);

  // Queues a product. a, b and c are as aligned as the plan's product says.
  void run(const Plan& plan, double alpha, const void* a, const void* b, void* c, void* workspace,
           Stream stream) const;

  // How many products were prepared, and how many of them have a learned or tuned algorithm.
  struct Count {
    int64_t products = 0, tuned = 0;
  };
  Count count() const;

  // Times candidates for every prepared product, those that cost most first, on random operands of its own in
  // the device's free memory, and uses the fastest from then on; a graph captured before keeps what it has.
  // Candidates take turns, with the second-level cache flushed before each run. Synchronises the stream.
  std::vector<MatmulTuning> tune(const MatmulTuneOptions& options, Stream stream);

 private:
  std::unique_ptr<Parts> parts_;
};

// Makes ready what matmul() will ask of the library with such arguments. False where it would use none.
template <class A, class B, class C>
bool prepare_matmul(MatmulLibrary& library, MatmulForm form, Rows<const A> a, Rows<const B> b, Rows<C> c,
                    Write write, void* workspace, int64_t workspace_bytes);

// The same bits from run to run. workspace: matmul_workspace_bytes().
template <class A, class B, class C>
void matmul(MatmulLibrary& library, MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b,
            Rows<C> c, Write write, void* workspace, int64_t workspace_bytes, Stream stream);

// Two bf16 copies of a float operand beside a bf16 one, each on 256 bytes, its rows on 16.
inline int64_t matmul_split_bytes(int64_t rows, int64_t width) {
  const int64_t bytes = rows * ((width + 7) / 8 * 8) * int64_t{sizeof(bf16)};
  return 2 * ((bytes + 255) / 256 * 256);
}

// For sums over k that are split: some copies of the output in float or double, up to twice what NVIDIA
// advises for this generation, which some of the fastest algorithms ask for. Beside them the parts of a float
// operand that meets a bf16 one.
template <class A, class B, class C>
int64_t matmul_workspace_bytes(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kMost = int64_t{64} << 20, kCopies = 16;
  const int64_t sums = std::min(kMost, m * n * int64_t{8} * kCopies);
  if constexpr (std::is_same_v<A, B>) return sums;
  const int64_t other = std::is_same_v<A, float> ? m : n;
  return sums + std::max(matmul_split_bytes(other, k), matmul_split_bytes(k, other));
}

}  // namespace lethe::kernels::cuda
