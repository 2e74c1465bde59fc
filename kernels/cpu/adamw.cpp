#include "kernels/cpu/update.h"

namespace lethe::kernels::cpu {

template <class P, class G, class M, Truth kTruth>
void adamw(const UpdateTensors<P, G, M, kTruth>& tensors, std::span<const UpdateConstants> groups,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved) {
  update<AdamWRule>(tensors, groups, scalars, moved, write_moved);
}

#define LETHE_UPDATE(P, G, M, truth)                                                                    \
  template void adamw<P, G, M, truth>(const UpdateTensors<P, G, M, truth>&,                             \
                                      std::span<const UpdateConstants>, const UpdateScalars&, int64_t*, \
                                      Write);
LETHE_UPDATE_TYPES(LETHE_UPDATE)
#undef LETHE_UPDATE

}  // namespace lethe::kernels::cpu
