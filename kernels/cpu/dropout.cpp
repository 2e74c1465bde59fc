#include "kernels/dropout.h"

#include <array>
#include <cmath>

#include "kernels/cpu/elements.h"
#include "kernels/philox.h"

namespace lethe::kernels::cpu {
namespace {

constexpr int64_t kQuads = 256;  // calls of philox made at once
using Words = std::array<uint32_t, 4 * kQuads>;

// Words of the elements from position 4 * first_quad on, four to a call.
void draw(uint64_t seed, uint64_t counter_high, int64_t first_quad, int64_t quads, Words& words) {
  uint32_t* out = words.data();
  for (int64_t q = 0; q < quads; ++q) {
    const PhiloxWords w = philox(seed, static_cast<uint64_t>(first_quad + q), counter_high);
    for (int64_t k = 0; k < 4; ++k) out[4 * q + k] = w.word[k];
  }
}

}  // namespace

template <class T>
void dropout(Rows<const T> x, double p, const DropoutKey& key, Rows<T> y, Write write) {
  using C = compute_t<T>;
  const auto seed = static_cast<uint64_t>(*key.seed);
  const uint64_t counter_high = key.stream + static_cast<uint64_t>(*key.step) * 0x9E3779B97F4A7C15u;
  const auto threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
  const C scale = static_cast<C>(1.0 / (1.0 - p));
  const bool add = write == Write::accumulate;
  parallel_elements(x.rows, x.width, [&](int64_t row, int64_t begin, int64_t end) {
    const int64_t row_position = (*key.first_row + row) * x.width;
    Words words;
    for (int64_t c = begin; c < end;) {
      const int64_t position = row_position + c, skip = position % 4;
      const int64_t count = std::min(end - c, 4 * kQuads - skip);
      draw(seed, counter_high, position / 4, (skip + count + 3) / 4, words);
      const uint32_t* word = words.data() + skip;
      const T* in = x.row(row) + c;
      T* out = y.row(row) + c;
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) {
        const C kept = (word[i] >> 8) >= threshold ? static_cast<C>(in[i]) * scale : C(0);
        out[i] = static_cast<T>(add ? static_cast<C>(out[i]) + kept : kept);
      }
      c += count;
    }
  });
}

template void dropout<double>(Rows<const double>, double, const DropoutKey&, Rows<double>, Write);
template void dropout<float>(Rows<const float>, double, const DropoutKey&, Rows<float>, Write);
template void dropout<bf16>(Rows<const bf16>, double, const DropoutKey&, Rows<bf16>, Write);

}  // namespace lethe::kernels::cpu
