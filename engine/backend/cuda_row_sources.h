// See Backend::upload_sources.
#pragma once

#include "engine/backend/cuda_pinned.h"
#include "engine/backend/row_sources.h"

namespace lethe {

// Some threads, each with two pinned buffers and a stream of its own: while the GPU copies one the thread
// fills the other, and together they read as fast as the machine's memory or disk gives. Begins when the work
// queued on `after` is done and returns when all has arrived.
void upload_sources_to_gpu(std::span<const RowSource> sources, int ordinal, cudaStream_t after);

}  // namespace lethe
