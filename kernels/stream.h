// The CUDA stream a kernel is queued on, as code that knows no CUDA header passes it along: a cudaStream_t.
#pragma once

namespace lethe::kernels::cuda {

using Stream = void*;

}  // namespace lethe::kernels::cuda
