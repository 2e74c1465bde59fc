// What the optimizers share on the CPU: the loop over a parameter's elements and the count of those that
// moved.
#pragma once

#include <atomic>
#include <cmath>

#include "kernels/cpu/elements.h"
#include "kernels/optimizer.h"

namespace lethe::kernels::cpu {

inline double decay_of(const UpdateConstants& constants, double learning_rate) {
  if (!constants.decoupled_decay) return learning_rate * constants.weight_decay;
  // A peak of zero trains nothing, so nothing decays either.
  if (constants.peak_learning_rate == 0) return 0;
  return learning_rate / constants.peak_learning_rate * constants.weight_decay;
}

// element_of_row(row) gives a function (w, g, column) -> new w: w the truth, g the scaled gradient. It also
// changes its own state. Stores the truth and its rounding, and counts the parameters whose value changed.
template <class P, class G, class M, class ElementOfRow>
void update_elements(const UpdateTensors<P, G, M>& tensors, double gradient_scale, int64_t* moved,
                     const ElementOfRow& element_of_row) {
  const M scale = static_cast<M>(gradient_scale);
  parallel_elements(
      tensors.parameter.rows, tensors.parameter.width, [&](int64_t row, int64_t begin, int64_t end) {
        P* parameter = tensors.parameter.row(row);
        M* truth = tensors.truth.row(row);
        const G* gradient = tensors.gradient.row(row);
        const auto element = element_of_row(row);
        int64_t changed = 0;
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) {
          const auto before = static_cast<compute_t<P>>(parameter[i]);
          const M w = element(truth[i], static_cast<M>(static_cast<compute_t<G>>(gradient[i])) * scale, i);
          truth[i] = w;
          parameter[i] = static_cast<P>(static_cast<compute_t<P>>(w));
          changed += before != static_cast<compute_t<P>>(parameter[i]) ? 1 : 0;
        }
        // Integers: the order of the pieces does not matter.
        std::atomic_ref<int64_t>(*moved).fetch_add(changed, std::memory_order_relaxed);
      });
}

}  // namespace lethe::kernels::cpu

// The combinations of storage that the optimizers are compiled for: macro(P, G, M).
#define LETHE_UPDATE_TYPES(macro)                                                              \
  macro(double, double, double) macro(double, float, double) macro(double, bf16, double)       \
      macro(float, double, double) macro(float, float, double) macro(float, bf16, double)      \
          macro(bf16, double, double) macro(bf16, float, double) macro(bf16, bf16, double)     \
              macro(float, double, float) macro(float, float, float) macro(float, bf16, float) \
                  macro(bf16, double, float) macro(bf16, float, float) macro(bf16, bf16, float)
