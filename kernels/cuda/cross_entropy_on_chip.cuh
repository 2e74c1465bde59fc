// cross_entropy_training for bf16 rows that the registers of a block, or of a cluster of blocks, hold: logits
// are read once and written once.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cuda {

// Queues it and returns true, or returns false where rows are too wide for this GPU or off the 16-byte
// boundaries. Arguments as of cross_entropy_training.
template <class S>
bool cross_entropy_on_chip(Rows<bf16> logits, const int32_t* labels, const S* seed, float* losses,
                           Stream stream);

}  // namespace lethe::kernels::cuda
