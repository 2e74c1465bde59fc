// One matrix product as a program, on any backend.
#pragma once

#include <ostream>

#include "engine/session.h"
#include "kernels/matmul_product.h"

namespace lethe::test {

struct ProductRequest {
  kernels::MatmulForm form = kernels::MatmulForm::nt;
  int64_t m = 0, n = 0, k = 0;
  int64_t more = 0;  // elements between rows, in each of the three
  DType operands = DType::bf16, output = DType::bf16;
  Access access = Access::overwrite;
};

void PrintTo(const ProductRequest& r, std::ostream* out);

// One node, of factor 1.5, between the tensors a, b and c.
std::unique_ptr<Session> start_product(const ProductRequest& r, std::unique_ptr<Backend> backend);

// Runs `runs` times from the same operands and output; the last result.
std::vector<double> product_result(const ProductRequest& r, Session& session, int runs = 1);

}  // namespace lethe::test
