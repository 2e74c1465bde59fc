// The matrix products of a recorded program, and OpenBLAS's own time for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/tape.h"
#include "kernels/matmul.h"

namespace lethe {

// `count` nodes that compute C[m, n] from operands whose common dimension is k.
struct MatrixProduct {
  kernels::MatmulForm form = kernels::MatmulForm::nt;
  int64_t m = 0, n = 0, k = 0;
  bool accumulates = false;  // C += ..., which reads C as well
  int64_t count = 0;
  DType a = DType::f32, b = DType::f32, c = DType::f32;

  // Of all `count`; a multiply-add counts as two.
  double flops() const;
  // But for the count.
  bool same_as(const MatrixProduct& other) const;
};

// "nt", or "nt +=" where it accumulates; "bf16 bf16 f32", the types of A, B and C.
std::string form_text(const MatrixProduct& product);
std::string types_text(const MatrixProduct& product);

// The product that a node computes, once; nothing for another kind of node.
std::optional<MatrixProduct> product_of(const Tape& tape, const Node& node);

// Those of linear maps and their gradients, forward, recomputed and backward, equal ones merged.
std::vector<MatrixProduct> matrix_products(const Tape& tape);

// FLOPs of the products inside attention (q k^T, p v and their gradients), of the pairs that the causal mask
// lets through.
double attention_flops(const Tape& tape);

// Times products as a program that does nothing else would compute them: OpenBLAS's sgemm, which shares each
// one among its own threads. Operands are dense and hold small random numbers.
class SgemmPeer {
 public:
  SgemmPeer(std::vector<MatrixProduct> products, int threads);

  const std::vector<MatrixProduct>& products() const { return products_; }
  // Computes every product `count` times; seconds by product. OpenBLAS is back at one thread afterwards, as
  // the CPU engine expects.
  std::vector<double> seconds();

 private:
  std::vector<MatrixProduct> products_;
  int threads_;
  std::vector<float> a_, b_, c_;  // as large as the largest operand
};

}  // namespace lethe
