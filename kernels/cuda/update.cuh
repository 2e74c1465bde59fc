// What the optimizers share on the GPU: all tensors in one pass, eight neighbouring elements of a bf16
// parameter a thread. Compiled without contraction: see kernels/update_rule.h.
#pragma once

#include "kernels/cuda/tensor_table.cuh"
#include "kernels/update_rule.h"

namespace lethe::kernels::cuda {

struct UpdateEntry {
  void *parameter, *master, *m, *v;
  const void* gradient;
  Extent extent;
  uint32_t pitch, stream, group;
};

struct UpdateGroups {
  uint32_t count;
  UpdateConstants at[kMostUpdateGroups];
};

template <class C>
__global__ void prepare_update(const __grid_constant__ UpdateGroups groups, UpdateScalars scalars,
                               bool corrected, StepConstants<C>* made, unsigned long long* moved,
                               Write write_moved) {
  const uint32_t i = threadIdx.x;
  if (i == 0 && write_moved == Write::overwrite) *moved = 0;
  if (i >= groups.count) return;
  made[i] = step_constants<C>(groups.at[i], scalars.learning_rates[i], *scalars.step, *scalars.gradient_scale,
                              corrected);
}

// N elements one by one, for arithmetic on their bits.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Stored {
  T at[N];
};

template <int N, class T>
__device__ inline Stored<T, N> load_stored(const void* from, int64_t at) {
  return *reinterpret_cast<const Stored<T, N>*>(static_cast<const T*>(from) + at);
}
template <int N, class T>
__device__ inline void store_stored(void* to, int64_t at, const Stored<T, N>& pack) {
  *reinterpret_cast<Stored<T, N>*>(static_cast<T*>(to) + at) = pack;
}

template <class Rule, class P, class G, class M, Truth kTruth>
struct UpdateChunk {
  using C = compute_t<M>;
  const UpdateEntry& t;
  const StepConstants<C>& k;
  uint64_t seed, step;  // of random rounding
  int changed = 0;
  PhiloxWords words{};  // of the eight elements at hand

  template <int N>
  __device__ void at(const Place& place, int64_t element) {
    const int64_t at = place.row * t.pitch + place.column;
    const auto before = load_stored<N, P>(t.parameter, at);
    const auto g = load<N>(static_cast<const G*>(t.gradient) + at);
    auto m = load<N>(static_cast<M*>(t.m) + at), v = m;
    if constexpr (Rule::has_v) v = load<N>(static_cast<M*>(t.v) + at);
    Values<M, N> w = truth<N>(before, at);
    if constexpr (std::is_same_v<M, bf16>)
      words = rounding_words(seed, step, t.stream, static_cast<uint64_t>(element) / 8);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      w.at[i] = Rule::step(k, w.at[i], static_cast<C>(g.at[i]) * k.scale, m.at[i], v.at[i]);
    }
    put<N>(t.m, at, m, Rounded::m, element);
    if constexpr (Rule::has_v) put<N>(t.v, at, v, Rounded::v, element);
    const Stored<P, N> after = put_truth<N>(w, at, element);
#pragma unroll
    for (int i = 0; i < N; ++i) changed += widen(before.at[i]) != widen(after.at[i]) ? 1 : 0;
  }

  template <int N>
  __device__ Values<M, N> truth(const Stored<P, N>& parameter, int64_t at) const {
    Values<M, N> w;
    if constexpr (kTruth == Truth::remainder) {
      const auto low = load_stored<N, uint16_t>(t.master, at);
#pragma unroll
      for (int i = 0; i < N; ++i) w.at[i] = kernels::joined({parameter.at[i].bits, low.at[i]});
    } else if constexpr (kTruth == Truth::copy) {
      w = load<N>(static_cast<const M*>(t.master) + at);
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i) w.at[i] = widen(parameter.at[i]);
    }
    return w;
  }

  // Stores parameter and truth; returns the parameter.
  template <int N>
  __device__ Stored<P, N> put_truth(const Values<M, N>& w, int64_t at, int64_t element) const {
    if constexpr (kTruth == Truth::parameter) {
      return put<N>(t.parameter, at, w, Rounded::weight, element);
    } else {
      Stored<P, N> parameter;
      if constexpr (kTruth == Truth::remainder) {
        Stored<uint16_t, N> low;
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const SplitFloat parts = kernels::split(w.at[i]);
          parameter.at[i].bits = parts.nearest;
          low.at[i] = parts.remainder;
        }
        store_stored(t.master, at, low);
      } else {
        store(static_cast<M*>(t.master) + at, w, Write::overwrite);
#pragma unroll
        for (int i = 0; i < N; ++i) parameter.at[i] = narrow<P>(w.at[i]);
      }
      store_stored(t.parameter, at, parameter);
      return parameter;
    }
  }

  // Stores as M, in bf16 rounded at random; returns what was stored.
  template <int N>
  __device__ Stored<M, N> put(void* to, int64_t at, const Values<M, N>& values, Rounded what,
                              int64_t element) const {
    Stored<M, N> pack;
    if constexpr (std::is_same_v<M, bf16>) {
      static_assert(N == 8 || N == 1, "a thread's elements lie in one group of random bits");
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const int in_group = N == 8 ? i : static_cast<int>(element % 8);
        pack.at[i].bits = rounded_at_random(values.at[i], rounding_bits(words, what, in_group));
      }
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i) pack.at[i] = values.at[i];
    }
    store_stored(to, at, pack);
    return pack;
  }
};

// Blocks on a multiprocessor at once: what they load must suffice for its share of the bandwidth. 0: as the
// compiler finds best, which is more where nothing is drawn at random.
template <class M>
constexpr int kUpdateBlocks = std::is_same_v<M, bf16> ? 3 : 0;

template <class Rule, class P, class G, class M, Truth kTruth>
__global__ void __launch_bounds__(kTableThreads, kUpdateBlocks<M>)
    update_kernel(const __grid_constant__ TensorTable<UpdateEntry> table,
                  const StepConstants<compute_t<M>>* constants, UpdateScalars scalars,
                  unsigned long long* moved) {
  const uint32_t tensor = tensor_of(table, blockIdx.x);
  const UpdateEntry& entry = table.entries[tensor];
  const StepConstants<compute_t<M>> k = constants[entry.group];
  if (!isfinite(k.scale)) return;
  UpdateChunk<Rule, P, G, M, kTruth> chunk{entry, k, 0, 0};
  if constexpr (std::is_same_v<M, bf16>) {
    chunk.seed = static_cast<uint64_t>(*scalars.seed);
    chunk.step = static_cast<uint64_t>(*scalars.step);
  }
  for_chunk<kVector<P>, 1>(entry.extent, blockIdx.x - table.first_chunk[tensor], chunk);
  // Whole numbers: the order of the blocks does not matter.
  const int changed = __reduce_add_sync(0xffffffffu, chunk.changed);
  if (threadIdx.x % 32 == 0 && changed > 0) atomicAdd(moved, static_cast<unsigned long long>(changed));
}

template <class Rule, class P, class G, class M, Truth kTruth>
void update(std::span<const UpdateTensors<P, G, M, kTruth>> tensors, std::span<const UpdateConstants> groups,
            const UpdateScalars& scalars, int64_t* moved, Write write_moved, void* workspace, Stream stream) {
  using C = compute_t<M>;
  static_assert(kMostUpdateGroups * sizeof(StepConstants<C>) <= kUpdateWorkspaceBytes);
  auto* const constants = static_cast<StepConstants<C>*>(workspace);
  auto* const count = reinterpret_cast<unsigned long long*>(moved);
  UpdateGroups table{.count = static_cast<uint32_t>(groups.size())};
  std::copy(groups.begin(), groups.end(), table.at);
  prepare_update<C><<<1, kMostUpdateGroups, 0, native(stream)>>>(table, scalars, Rule::has_v, constants,
                                                                 count, write_moved);
  for_tables<UpdateEntry>(
      tensors,
      [](const UpdateTensors<P, G, M, kTruth>& t) {
        return UpdateEntry{.parameter = t.parameter.data,
                           .master = t.master.data,
                           .m = t.m.data,
                           .v = t.v.data,
                           .gradient = t.gradient.data,
                           .extent = extent_of<kVector<P>>(t.parameter, t.master, t.gradient, t.m, t.v),
                           .pitch = static_cast<uint32_t>(t.parameter.pitch),
                           .stream = t.stream,
                           .group = static_cast<uint32_t>(t.group)};
      },
      [&](const TensorTable<UpdateEntry>& part) {
        update_kernel<Rule, P, G, M, kTruth>
            <<<part.chunks, kTableThreads, 0, native(stream)>>>(part, constants, scalars, count);
      });
}

}  // namespace lethe::kernels::cuda
