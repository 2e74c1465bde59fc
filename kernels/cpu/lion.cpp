#include "kernels/cpu/update.h"

namespace lethe::kernels::cpu {

template <class P, class G, class M>
void lion(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved) {
  if (write_moved == Write::overwrite) *moved = 0;
  if (!std::isfinite(*scalars.gradient_scale)) return;
  const M beta1 = static_cast<M>(constants.beta1), beta2 = static_cast<M>(constants.beta2);
  const M rest1 = static_cast<M>(1 - constants.beta1), rest2 = static_cast<M>(1 - constants.beta2);
  const M rate = static_cast<M>(*scalars.learning_rate);
  // Subtracted, not as a factor 1 - decay: in float that factor knows decays of 1e-6 to one digit only.
  const M decay = static_cast<M>(decay_of(constants, *scalars.learning_rate));
  update_elements(tensors, *scalars.gradient_scale, moved, [&](int64_t row) {
    M* average = tensors.m.row(row);
    return [=](M w, M g, int64_t i) {
      const M direction = beta1 * average[i] + rest1 * g;
      const M step = direction > 0 ? rate : direction < 0 ? -rate : M(0);
      average[i] = beta2 * average[i] + rest2 * g;
      return (w - decay * w) - step;
    };
  });
}

#define LETHE_LION(P, G, M)                                                                                \
  template void lion<P, G, M>(const UpdateTensors<P, G, M>&, const UpdateConstants&, const UpdateScalars&, \
                              int64_t*, Write);
LETHE_UPDATE_TYPES(LETHE_LION)
#undef LETHE_LION

}  // namespace lethe::kernels::cpu
