// AdamW: the element-wise pass of update.cuh; the bias corrections are powers worked out once a block.
#include "kernels/cuda/update.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class M>
struct AdamW {
  static constexpr bool has_v = true;
  M beta1, beta2, rest1, rest2, step_size, root_correction, epsilon, decay;

  static __device__ AdamW of(const UpdateConstants& k, const UpdateScalars& scalars) {
    const double rate = *scalars.learning_rate, t = static_cast<double>(*scalars.step);
    return {static_cast<M>(k.beta1),
            static_cast<M>(k.beta2),
            static_cast<M>(1 - k.beta1),
            static_cast<M>(1 - k.beta2),
            static_cast<M>(rate / (1 - pow(k.beta1, t))),
            static_cast<M>(1 / sqrt(1 - pow(k.beta2, t))),
            static_cast<M>(k.epsilon),
            static_cast<M>(decay_of(k, rate))};
  }

  __device__ M step(M w, M g, M& m, M& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * (g * g);
    return (w - decay * w) - step_size * (m / (sqrt(v) * root_correction + epsilon));
  }
};

}  // namespace

template <class P, class G, class M>
void adamw(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved, Stream stream) {
  update<AdamW>(tensors, constants, scalars, moved, write_moved, stream);
}

#define LETHE_ADAMW(P, G, M)                                                                                \
  template void adamw<P, G, M>(const UpdateTensors<P, G, M>&, const UpdateConstants&, const UpdateScalars&, \
                               int64_t*, Write, Stream);
LETHE_UPDATE_TYPES(LETHE_ADAMW)
#undef LETHE_ADAMW

}  // namespace lethe::kernels::cuda
