#include "engine/error.h"
#include "tools/bench/gpu_limits.h"

namespace lethe {
namespace {

[[noreturn]] void refuse() {
  throw DeviceError("cuda", "this build has no CUDA backend");
}

}  // namespace

GpuFacts gpu_facts() {
  refuse();
}

double gpu_copy_bandwidth() {
  refuse();
}

double best_product_seconds(const MatrixProduct&) {
  refuse();
}

double gpu_product_flops() {
  refuse();
}

}  // namespace lethe
