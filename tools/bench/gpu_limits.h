// What the first GPU is and what it reaches when it does nothing else, measured with NVIDIA's own functions:
// the limits that a profile is held against. All throw DeviceError in a build without CUDA, and if a call
// fails.
#pragma once

#include <cstdint>
#include <string>

#include "tools/bench/products.h"

namespace lethe {

struct GpuFacts {
  std::string name;
  int64_t total_bytes = 0, free_bytes = 0;  // as the driver counts, now
};
GpuFacts gpu_facts();

// Bytes a second, read and written together, of the fastest of several copies of 2 GiB (or an eighth of the
// free memory) from the device to itself.
double gpu_copy_bandwidth();

// Seconds of one such product with dense operands and random values: the median of the fastest of the
// algorithms that cuBLASLt offers for it, the candidates timed by turns so that clocks and heat meet all of
// them alike. 0 for operands of two types, which the library does not multiply.
double best_product_seconds(const MatrixProduct& product);

// Of a large bf16 product.
double gpu_product_flops();

}  // namespace lethe
