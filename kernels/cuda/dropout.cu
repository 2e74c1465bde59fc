// y = x / (1 - p) where kept: one element-wise pass. A thread whose elements lie in whole groups of four
// calls philox once a group; the position, and so the mask, is the CPU's.
#include <cmath>

#include "kernels/cuda/elements.cuh"
#include "kernels/dropout.h"
#include "kernels/philox.h"

namespace lethe::kernels::cuda {
namespace {

template <class T>
struct Dropout {
  static constexpr int vector = kVector<T>;
  Rows<const T> x;
  Rows<T> y;
  DropoutKey key;
  int64_t step_width;  // of the matrix before it was laid out as one row
  uint32_t threshold;
  compute_t<T> scale;
  Write write;

  template <int N>
  __device__ Values<T, N> value(int64_t r, int64_t c) const {
    const auto seed = static_cast<uint64_t>(*key.seed);
    const uint64_t high = key.stream + static_cast<uint64_t>(*key.step) * 0x9E3779B97F4A7C15u;
    const int64_t first = *key.first_row * step_width + r * x.width + c;
    const auto in = load<N>(row_of(x, r) + c);
    Values<T, N> out;
    PhiloxWords words{};
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const auto position = static_cast<uint64_t>(first + i);
      if (i == 0 || position % 4 == 0) words = philox(seed, position / 4, high);
      const auto at = static_cast<uint32_t>(position % 4);
      // Chosen without an index, which would put the words in memory.
      const uint32_t low_pair = at & 1 ? words.word[1] : words.word[0];
      const uint32_t high_pair = at & 1 ? words.word[3] : words.word[2];
      const uint32_t word = at & 2 ? high_pair : low_pair;
      out.at[i] = (word >> 8) >= threshold ? in.at[i] * scale : compute_t<T>(0);
    }
    return joined(row_of(y, r) + c, out, write);
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<T, N>& out) const {
    store(row_of(y, r) + c, out, Write::overwrite);
  }
};

}  // namespace

template <class T>
void dropout(Rows<const T> x, double p, const DropoutKey& key, Rows<T> y, Write write, Stream stream) {
  const auto threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  const auto scale = static_cast<compute_t<T>>(1.0 / (1.0 - p));
  for_elements(
      stream, [&](auto in, auto out) { return Dropout<T>{in, out, key, x.width, threshold, scale, write}; },
      x, y);
}

template void dropout<double>(Rows<const double>, double, const DropoutKey&, Rows<double>, Write, Stream);
template void dropout<float>(Rows<const float>, double, const DropoutKey&, Rows<float>, Write, Stream);
template void dropout<bf16>(Rows<const bf16>, double, const DropoutKey&, Rows<bf16>, Write, Stream);

}  // namespace lethe::kernels::cuda
