#include "kernels/cpu/update.h"

namespace lethe::kernels::cpu {

template <class P, class G, class M>
void adamw(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved) {
  if (write_moved == Write::overwrite) *moved = 0;
  if (!std::isfinite(*scalars.gradient_scale)) return;
  const double rate = *scalars.learning_rate, t = static_cast<double>(*scalars.step);
  const M beta1 = static_cast<M>(constants.beta1), beta2 = static_cast<M>(constants.beta2);
  const M rest1 = static_cast<M>(1 - constants.beta1), rest2 = static_cast<M>(1 - constants.beta2);
  const M step_size = static_cast<M>(rate / (1 - std::pow(constants.beta1, t)));
  const M root_correction = static_cast<M>(1 / std::sqrt(1 - std::pow(constants.beta2, t)));
  const M epsilon = static_cast<M>(constants.epsilon);
  // Subtracted, not as a factor 1 - decay: in float that factor knows decays of 1e-6 to one digit only.
  const M decay = static_cast<M>(decay_of(constants, rate));
  update_elements(tensors, *scalars.gradient_scale, moved, [&](int64_t row) {
    M *first = tensors.m.row(row), *second = tensors.v.row(row);
    return [=](M w, M g, int64_t i) {
      const M m = beta1 * first[i] + rest1 * g, v = beta2 * second[i] + rest2 * (g * g);
      first[i] = m;
      second[i] = v;
      return (w - decay * w) - step_size * (m / (std::sqrt(v) * root_correction + epsilon));
    };
  });
}

#define LETHE_ADAMW(P, G, M)                                                                                \
  template void adamw<P, G, M>(const UpdateTensors<P, G, M>&, const UpdateConstants&, const UpdateScalars&, \
                               int64_t*, Write);
LETHE_UPDATE_TYPES(LETHE_ADAMW)
#undef LETHE_ADAMW

}  // namespace lethe::kernels::cpu
