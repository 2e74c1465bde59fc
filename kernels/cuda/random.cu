// One number a thread: what is drawn costs some two hundred double operations, so the width of a store does
// not matter.
#include "kernels/cuda/elements.cuh"
#include "kernels/random.h"

namespace lethe::kernels::cuda {
namespace {

struct Normal {
  double deviation;
  __device__ double operator()(const PhiloxWords& w) const { return deviation * standard_normal(w); }
};

struct Uniform {
  double bound;
  __device__ double operator()(const PhiloxWords& w) const {
    return bound * (2.0 * uniform53(w.word[0], w.word[1]) - 1.0);
  }
};

template <class T, class Value>
struct Draw {
  static constexpr int vector = 1;
  Rows<T> y;
  int64_t width;  // of the matrix, also where it is one long row here
  RandomStream random;
  Value value;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    static_assert(N == 1);
    const auto position = static_cast<uint64_t>(r * width + c);
    const double drawn = value(philox(random.seed, position, random.stream));
    row_of(y, r)[c] = narrow<T>(static_cast<compute_t<T>>(drawn));
  }
};

template <class T, class Value>
void draw(Rows<T> y, const Value& value, RandomStream random, Stream stream) {
  for_elements(
      stream,
      [&](auto out) {
        return Draw<T, Value>{out, y.width, random, value};
      },
      y);
}

}  // namespace

template <class T>
void normal(Rows<T> y, double deviation, RandomStream random, Stream stream) {
  draw(y, Normal{deviation}, random, stream);
}

template <class T>
void uniform(Rows<T> y, double bound, RandomStream random, Stream stream) {
  draw(y, Uniform{bound}, random, stream);
}

#define LETHE_RANDOM(T)                                           \
  template void normal<T>(Rows<T>, double, RandomStream, Stream); \
  template void uniform<T>(Rows<T>, double, RandomStream, Stream);
LETHE_RANDOM(double)
LETHE_RANDOM(float)
LETHE_RANDOM(bf16)
#undef LETHE_RANDOM

}  // namespace lethe::kernels::cuda
