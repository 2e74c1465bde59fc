#include "kernels/cuda/update.cuh"

namespace lethe::kernels::cuda {

template <class P, class G, class M, Truth kTruth>
void adamw(std::span<const UpdateTensors<P, G, M, kTruth>> tensors, std::span<const UpdateConstants> groups,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved, void* workspace, Stream stream) {
  update<AdamWRule>(tensors, groups, scalars, moved, write_moved, workspace, stream);
}

#define LETHE_UPDATE(P, G, M, truth)                                                                    \
  template void adamw<P, G, M, truth>(std::span<const UpdateTensors<P, G, M, truth>>,                   \
                                      std::span<const UpdateConstants>, const UpdateScalars&, int64_t*, \
                                      Write, void*, Stream);
LETHE_UPDATE_TYPES(LETHE_UPDATE)
#undef LETHE_UPDATE

}  // namespace lethe::kernels::cuda
