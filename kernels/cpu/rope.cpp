#include "kernels/rope.h"

#include <cmath>
#include <numbers>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels {
namespace {

double llama3_frequency(double f, const RopeScaling& s) {
  const double length = s.original_max_position_embeddings;
  const double wavelength = 2 * std::numbers::pi / f;
  if (wavelength < length / s.high_freq_factor) return f;
  if (wavelength > length / s.low_freq_factor) return f / s.factor;
  const double share = (length / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - share) * f / s.factor + share * f;
}

void scale_yarn(double theta, int64_t head_dim, const RopeScaling& s, double* frequencies) {
  const auto d = static_cast<double>(head_dim);
  const auto index_that_turns = [&](double times) {
    return d * std::log(s.original_max_position_embeddings / (2 * std::numbers::pi * times)) /
           (2 * std::log(theta));
  };
  double low = index_that_turns(s.beta_fast), high = index_that_turns(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] = frequencies[j] / s.factor * ramp + frequencies[j] * (1 - ramp);
  }
}

}  // namespace

void rope_frequencies(double theta, int64_t head_dim, const RopeScaling& scaling, double* frequencies) {
  for (int64_t j = 0; j < head_dim / 2; ++j) {
    double& f = frequencies[j];
    f = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim));
    if (scaling.type == RopeScaling::Type::linear) f /= scaling.factor;
    if (scaling.type == RopeScaling::Type::llama3) f = llama3_frequency(f, scaling);
  }
  if (scaling.type == RopeScaling::Type::yarn) scale_yarn(theta, head_dim, scaling, frequencies);
}

double rope_attention_factor(const RopeScaling& s) {
  if (s.type != RopeScaling::Type::yarn) return 1;
  if (s.attention_factor != 0) return s.attention_factor;
  const auto growth = [&](double m) { return s.factor > 1 ? 0.1 * m * std::log(s.factor) + 1 : 1.0; };
  if (s.mscale != 0 && s.mscale_all_dim != 0) return growth(s.mscale) / growth(s.mscale_all_dim);
  return growth(1);
}

template <class C>
void rope_table(const double* frequencies, double attention_factor, int64_t max_position, int64_t head_dim,
                C* table) {
  const int64_t half = head_dim / 2;
  cpu::parallel_pieces(max_position, cpu::rows_grain(head_dim), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      C* row = table + p * head_dim;
      for (int64_t j = 0; j < half; ++j) {
        const auto angle = static_cast<double>(static_cast<C>(p) * static_cast<C>(frequencies[j]));
        row[j] = static_cast<C>(attention_factor * std::cos(angle));
        row[half + j] = static_cast<C>(attention_factor * std::sin(angle));
      }
    }
  });
}

template void rope_table<double>(const double*, double, int64_t, int64_t, double*);
template void rope_table<float>(const double*, double, int64_t, int64_t, float*);

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

template <class T>
void rope(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int64_t heads,
          int64_t head_dim, bool inverse, Rows<T> y) {
  using C = compute_t<T>;
  const int64_t half = head_dim / 2;
  const C direction = inverse ? C(-1) : C(1);
  parallel_pieces(x.rows, rows_grain(x.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const C *cosine = table + positions[i] * head_dim, *sine = cosine + half;
      for (int64_t h = 0; h < heads; ++h) {
        const T *first = x.row(i) + h * head_dim, *second = first + half;
        T *to_first = y.row(i) + h * head_dim, *to_second = to_first + half;
#pragma omp simd
        for (int64_t j = 0; j < half; ++j) {
          const C a = static_cast<C>(first[j]), b = static_cast<C>(second[j]), s = direction * sine[j];
          to_first[j] = static_cast<T>(a * cosine[j] - b * s);
          to_second[j] = static_cast<T>(b * cosine[j] + a * s);
        }
      }
    }
  });
}

#define LETHE_ROPE(T) \
  template void rope<T>(Rows<const T>, const int32_t*, const compute_t<T>*, int64_t, int64_t, bool, Rows<T>);
LETHE_ROPE(double)
LETHE_ROPE(float)
LETHE_ROPE(bf16)
#undef LETHE_ROPE

}  // namespace lethe::kernels::cpu
