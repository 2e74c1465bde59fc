// Products with one thin side, as LoRA's factors make them, by kernels of our own.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/matmul_product.h"

namespace lethe::kernels::cuda {

// Whether the product can be computed so on the current device: bf16 operands, a side of at most 256 (n; in
// the form tn also m), rows on 16 bytes, a GPU with clusters.
bool is_fit(const MatmulProduct& product, const OwnAlgorithm& algorithm);

// Those that fit and whose blocks are half to four times as many as the current device has multiprocessors.
std::vector<OwnAlgorithm> own_offers(const MatmulProduct& product);

// Queues a product that the algorithm fits. The same bits from run to run.
cudaError_t queue(const MatmulProduct& product, const OwnAlgorithm& algorithm, float alpha, const void* a,
                  const void* b, void* c, cudaStream_t stream);

}  // namespace lethe::kernels::cuda
