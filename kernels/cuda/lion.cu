// Lion: the element-wise pass of update.cuh with one moving average.
#include "kernels/cuda/update.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class M>
struct Lion {
  static constexpr bool has_v = false;
  M beta1, beta2, rest1, rest2, rate, decay;

  static __device__ Lion of(const UpdateConstants& k, const UpdateScalars& scalars) {
    return {static_cast<M>(k.beta1),
            static_cast<M>(k.beta2),
            static_cast<M>(1 - k.beta1),
            static_cast<M>(1 - k.beta2),
            static_cast<M>(*scalars.learning_rate),
            static_cast<M>(decay_of(k, *scalars.learning_rate))};
  }

  __device__ M step(M w, M g, M& m, M&) const {
    const M direction = beta1 * m + rest1 * g;
    m = beta2 * m + rest2 * g;
    return (w - decay * w) - (direction > 0 ? rate : direction < 0 ? -rate : M(0));
  }
};

}  // namespace

template <class P, class G, class M>
void lion(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved, Stream stream) {
  update<Lion>(tensors, constants, scalars, moved, write_moved, stream);
}

#define LETHE_LION(P, G, M)                                                                                \
  template void lion<P, G, M>(const UpdateTensors<P, G, M>&, const UpdateConstants&, const UpdateScalars&, \
                              int64_t*, Write, Stream);
LETHE_UPDATE_TYPES(LETHE_LION)
#undef LETHE_LION

}  // namespace lethe::kernels::cuda
