#include "kernels/random.h"

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {
namespace {

// y = value(the four words of each position).
template <class T, class Value>
void draw(Rows<T> y, RandomStream stream, const Value& value) {
  parallel_elements(y.rows, y.width, [&](int64_t row, int64_t begin, int64_t end) {
    T* out = y.row(row);
    for (int64_t i = begin; i < end; ++i) {
      const auto position = static_cast<uint64_t>(row * y.width + i);
      out[i] = static_cast<T>(static_cast<compute_t<T>>(value(philox(stream.seed, position, stream.stream))));
    }
  });
}

}  // namespace

template <class T>
void normal(Rows<T> y, double deviation, RandomStream stream) {
  draw(y, stream, [=](const PhiloxWords& w) { return deviation * standard_normal(w); });
}

template <class T>
void uniform(Rows<T> y, double bound, RandomStream stream) {
  draw(y, stream,
       [=](const PhiloxWords& w) { return bound * (2.0 * uniform53(w.word[0], w.word[1]) - 1.0); });
}

#define LETHE_RANDOM(T)                                \
  template void normal(Rows<T>, double, RandomStream); \
  template void uniform(Rows<T>, double, RandomStream);
LETHE_RANDOM(double)
LETHE_RANDOM(float)
LETHE_RANDOM(bf16)
#undef LETHE_RANDOM

}  // namespace lethe::kernels::cpu
