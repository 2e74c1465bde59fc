#include "kernels/cached_attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

template <class T>
void keep_rows(Rows<const T> x, const int32_t* rows, Rows<T> cache) {
  for (int64_t i = 0; i < x.rows; ++i) {
    if (rows[i] >= 0) std::copy_n(x.row(i), x.width, cache.row(rows[i]));
  }
}

template <class T>
void cached_attention(const CachedAttentionShape& s, double scale, Rows<const T> q, Rows<const T> keys,
                      Rows<const T> values, const int32_t* rows, Rows<T> out) {
  using C = compute_t<T>;
  const int64_t D = s.head_dim, group = s.heads / s.kv_heads;
  parallel_pieces(s.tokens * s.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t i = piece / s.heads, head = piece % s.heads, column = head / group * D;
      std::array<C, kMostCachedHeadDim> sum{};
      C most = -std::numeric_limits<C>::infinity(), total = 0;
      const int64_t row = rows[i], position = row < 0 ? -1 : row % s.capacity;
      const int64_t first = s.window > 0 ? std::max<int64_t>(0, position - s.window + 1) : 0;
      const T* const query = q.row(i) + head * D;
      for (int64_t j = first; j <= position; ++j) {
        const T* const key = keys.row(row - position + j) + column;
        const T* const value = values.row(row - position + j) + column;
        C score = 0;
#pragma omp simd reduction(+ : score)
        for (int64_t d = 0; d < D; ++d) score += static_cast<C>(query[d]) * static_cast<C>(key[d]);
        score *= static_cast<C>(scale);
        // The sums so far are those of exp(s - most): a new maximum shrinks them.
        const C now = std::max(most, score), shrink = std::exp(most - now), p = std::exp(score - now);
        most = now;
        total = total * shrink + p;
#pragma omp simd
        for (int64_t d = 0; d < D; ++d) sum[d] = sum[d] * shrink + p * static_cast<C>(value[d]);
      }
      T* const to = out.row(i) + head * D;
      for (int64_t d = 0; d < D; ++d) to[d] = static_cast<T>(position < 0 ? C(0) : sum[d] / total);
    }
  });
}

#define LETHE_CACHED_ATTENTION(T)                                                                      \
  template void keep_rows<T>(Rows<const T>, const int32_t*, Rows<T>);                                  \
  template void cached_attention<T>(const CachedAttentionShape&, double, Rows<const T>, Rows<const T>, \
                                    Rows<const T>, const int32_t*, Rows<T>);
LETHE_CACHED_ATTENTION(double)
LETHE_CACHED_ATTENTION(float)
LETHE_CACHED_ATTENTION(bf16)
#undef LETHE_CACHED_ATTENTION

}  // namespace lethe::kernels::cpu
