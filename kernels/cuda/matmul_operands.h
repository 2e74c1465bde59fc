// What timing a product needs on the device beside the product: operands, and a sign that a result has the
// same bits again.
#pragma once

#include "kernels/matmul_product.h"
#include "kernels/stream.h"

namespace lethe::kernels::cuda {

// count values by seed and position alone, about normally distributed around 0 (the sum of four uniform
// ones): zeros or equal values would let the GPU clock higher than real ones do.
void fill_random(MatmulType type, void* data, int64_t count, double deviation, uint64_t seed, Stream stream);

// Adds to *sum, in device memory, a hash of the bytes (an even number of them) and their places. Integers are
// added, so the order does not matter.
void add_fingerprint(const void* data, int64_t bytes, uint64_t* sum, Stream stream);

}  // namespace lethe::kernels::cuda
