// C = alpha * op(A) * op(B), or C += ..., in the three forms that training a linear map y = x W^T needs:
//   nt   C[m, n] = A[m, k] B[n, k]^T     y  = x W^T
//   nn   C[m, n] = A[m, k] B[k, n]       dx = dy W
//   tn   C[m, n] = A[k, m]^T B[k, n]     dW = dy^T x
// Operands may be stored in different types: double with double, or any mix of float and bf16, which is
// multiplied and summed in float and rounded once to C's type.
#pragma once

#include "kernels/rows.h"

namespace lethe::kernels {

enum class MatmulForm { nt, nn, tn };

}  // namespace lethe::kernels

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
