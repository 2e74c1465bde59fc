// What the optimizers share on the GPU: one element-wise pass over a parameter, four elements a thread, and
// the count of those that moved.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/optimizer.h"

namespace lethe::kernels::cuda {

constexpr int kUpdateThreads = 256;

__device__ inline double decay_of(const UpdateConstants& constants, double learning_rate) {
  if (!constants.decoupled_decay) return learning_rate * constants.weight_decay;
  // A peak of zero trains nothing, so nothing decays either.
  if (constants.peak_learning_rate == 0) return 0;
  return learning_rate / constants.peak_learning_rate * constants.weight_decay;
}

// Rule(constants, scalars) is made once a block; rule.step(w, g, m, v) changes the moments and returns the
// new w.
template <int N, template <class> class Rule, class P, class G, class M>
__global__ void __launch_bounds__(kUpdateThreads)
    update_kernel(UpdateTensors<P, G, M> tensors, UpdateConstants constants, UpdateScalars scalars,
                  unsigned long long* moved) {
  __shared__ Rule<M> shared;
  if (!isfinite(*scalars.gradient_scale)) return;
  if (threadIdx.x == 0) shared = Rule<M>::of(constants, scalars);
  __syncthreads();
  const Rule<M> rule = shared;
  const M scale = static_cast<M>(*scalars.gradient_scale);
  const bool has_master = static_cast<const void*>(tensors.truth.data) != tensors.parameter.data;
  const int64_t across = tensors.parameter.width / N, all = tensors.parameter.rows * across;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kUpdateThreads;
  int changed = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kUpdateThreads + threadIdx.x; i < all; i += step) {
    const int64_t r = tensors.parameter.rows == 1 ? 0 : i / across, c = (i - r * across) * N;
    P* parameter = row_of(tensors.parameter, r) + c;
    const auto before = load<N>(parameter);
    const auto g = load<N>(row_of(tensors.gradient, r) + c);
    auto w = load<N>(row_of(tensors.truth, r) + c), m = load<N>(row_of(tensors.m, r) + c), v = m;
    if constexpr (Rule<M>::has_v) v = load<N>(row_of(tensors.v, r) + c);
    Values<P, N> stored;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      w.at[k] = rule.step(w.at[k], static_cast<M>(g.at[k]) * scale, m.at[k], v.at[k]);
      stored.at[k] = widen(narrow<P>(static_cast<compute_t<P>>(w.at[k])));
      changed += before.at[k] != stored.at[k] ? 1 : 0;
    }
    store(row_of(tensors.m, r) + c, m, Write::overwrite);
    if constexpr (Rule<M>::has_v) store(row_of(tensors.v, r) + c, v, Write::overwrite);
    if (has_master) store(row_of(tensors.truth, r) + c, w, Write::overwrite);
    store(parameter, stored, Write::overwrite);
  }
  // Whole numbers: the order of the blocks does not matter.
  changed = __reduce_add_sync(0xffffffffu, changed);
  if (threadIdx.x % 32 == 0 && changed > 0) atomicAdd(moved, static_cast<unsigned long long>(changed));
}

template <class T>
Rows<T> as_one_row(Rows<T> x) {
  return {x.data, 1, x.rows * x.width, x.rows * x.width};
}

template <template <class> class Rule, class P, class G, class M>
void update(UpdateTensors<P, G, M> t, const UpdateConstants& constants, const UpdateScalars& scalars,
            int64_t* moved, Write write_moved, Stream stream) {
  if (write_moved == Write::overwrite) cudaMemsetAsync(moved, 0, sizeof *moved, native(stream));
  const int64_t elements = t.parameter.rows * t.parameter.width;
  if (elements == 0) return;
  const auto is_dense = [](const auto& x) { return !x.data || x.pitch == x.width; };
  if (is_dense(t.parameter) && is_dense(t.truth) && is_dense(t.gradient) && is_dense(t.m) && is_dense(t.v)) {
    t = {as_one_row(t.parameter), as_one_row(t.truth), as_one_row(t.gradient), as_one_row(t.m),
         as_one_row(t.v)};
  }
  constexpr int kWide = 4;
  const bool wide = t.parameter.width % kWide == 0 && aligned(t.parameter) && aligned(t.truth) &&
                    aligned(t.gradient) && aligned(t.m) && (!t.v.data || aligned(t.v));
  constexpr int64_t kMostBlocks = 2048;  // each works out the step's constants once
  const int64_t pieces = elements / (wide ? kWide : 1);
  const auto blocks =
      static_cast<unsigned>(std::min(kMostBlocks, (pieces + kUpdateThreads - 1) / kUpdateThreads));
  auto* const count = reinterpret_cast<unsigned long long*>(moved);
  if (wide) {
    update_kernel<kWide, Rule><<<blocks, kUpdateThreads, 0, native(stream)>>>(t, constants, scalars, count);
  } else {
    update_kernel<1, Rule><<<blocks, kUpdateThreads, 0, native(stream)>>>(t, constants, scalars, count);
  }
}

}  // namespace lethe::kernels::cuda

// The combinations of storage that the optimizers are compiled for: macro(P, G, M).
#define LETHE_UPDATE_TYPES(macro)                                                              \
  macro(double, double, double) macro(double, float, double) macro(double, bf16, double)       \
      macro(float, double, double) macro(float, float, double) macro(float, bf16, double)      \
          macro(bf16, double, double) macro(bf16, float, double) macro(bf16, bf16, double)     \
              macro(float, double, float) macro(float, float, float) macro(float, bf16, float) \
                  macro(bf16, double, float) macro(bf16, float, float) macro(bf16, bf16, float)
