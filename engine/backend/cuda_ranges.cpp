#include "engine/backend/cuda_ranges.h"

#include <nvtx3/nvToolsExt.h>

namespace lethe {

void push_range(const std::string& name) {
  nvtxRangePushA(name.c_str());
}

void pop_range() {
  nvtxRangePop();
}

}  // namespace lethe
