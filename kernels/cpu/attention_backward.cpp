#include "kernels/attention.h"
#include "kernels/cpu/attention_blocks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_exp.h"

namespace lethe::kernels::cpu {
namespace {

// One thread's scratch: probabilities and their gradients, delta, the gradients while they are summed (of one
// query block, and of all keys and values of a row's head), and widened blocks of q, k, v and dout.
template <class T>
struct BackwardScratch {
  using C = compute_t<T>;
  C *p, *dp, *delta, *dq, *dk, *dv, *q, *k, *v, *dout;
  int64_t elements = 0;

  BackwardScratch(C* start, const AttentionShape& shape) {
    const auto take = [&](int64_t count) {
      C* const taken = start ? start + elements : nullptr;
      elements += count;
      return taken;
    };
    const int64_t d = shape.head_dim, narrow = is_narrow<T> ? d : 0;
    p = take(kQueryBlock * kKeyBlock);
    dp = take(kQueryBlock * kKeyBlock);
    delta = take(kQueryBlock);
    dq = take(kQueryBlock * d);
    dk = take(shape.tokens * d);
    dv = take(shape.tokens * d);
    q = take(kQueryBlock * narrow);
    dout = take(kQueryBlock * narrow);
    k = take(kKeyBlock * narrow);
    v = take(kKeyBlock * narrow);
  }
};

template <class T>
struct Problem {
  using C = compute_t<T>;
  const AttentionShape& shape;
  double scale;
  Rows<const T> dout, q, k, v;
  const int32_t* document_start;
  Rows<const T> out;
  const C* lse;
  AttentionGradient<T> dq, dk, dv;
  const AttentionDropout* dropout;  // null: nothing is dropped
};

// One query's scores become probabilities p, and dp, which holds do . v, becomes ds. [from, to) are visible.
template <class C>
void softmax_backward(C* p, C* dp, int64_t keys, int64_t from, int64_t to, C lse, C delta) {
  to = std::max(from, to);
  std::fill(p, p + from, C(0));
  std::fill(dp, dp + from, C(0));
#pragma omp simd
  for (int64_t j = from; j < to; ++j) {
    p[j] = vector_exp(p[j] - lse);
    dp[j] = p[j] * (dp[j] - delta);
  }
  std::fill(p + to, p + keys, C(0));
  std::fill(dp + to, dp + keys, C(0));
}

// Zeroes all but the keys [from, to).
template <class C>
void hide(C* values, int64_t keys, int64_t from, int64_t to) {
  std::fill(values, values + from, C(0));
  std::fill(values + to, values + keys, C(0));
}

// The same of the visible keys of a block alone, `factors` being what the forward pass multiplied each p
// with: p becomes what weighed the values.
template <class C>
void dropped_softmax_backward(C* p, C* dp, const C* factors, int64_t visible, C lse, C delta) {
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) {
    const C whole = vector_exp(p[j] - lse);
    p[j] = whole * factors[j];
    dp[j] = whole * (factors[j] * dp[j] - delta);
  }
}

template <class T>
void store(const compute_t<T>* from, Rows<T> to, int64_t row, int64_t column, int64_t rows, int64_t width,
           Write write) {
  for (int64_t i = 0; i < rows; ++i) {
    T* target = to.row(row + i) + column;
    for (int64_t c = 0; c < width; ++c) put(target[c], from[i * width + c], write);
  }
}

// The queries [begin, end) of one head: adds to the scratch's dk and dv, finishes dq.
template <class T>
void query_block(const Problem<T>& a, const BackwardScratch<T>& s, int64_t b, int64_t h, int64_t begin,
                 int64_t end) {
  using C = compute_t<T>;
  const AttentionMask mask =
      a.dropout ? AttentionMask::of(a.shape, a.dropout->key, a.dropout->threshold(), b, h) : AttentionMask{};
  C factors[kKeyBlock];
  const int64_t d = a.shape.head_dim, row = b * a.shape.tokens, queries = end - begin;
  const int64_t column = h * d, kv_column = h / (a.shape.heads / a.shape.kv_heads) * d;
  const auto q = widened(a.q, row + begin, column, queries, d, s.q);
  const auto dout = widened(a.dout, row + begin, column, queries, d, s.dout);
  const C* lse = a.lse + (b * a.shape.heads + h) * a.shape.tokens + begin;
  const int32_t* starts = a.document_start + row;
  for (int64_t i = 0; i < queries; ++i) {
    const T* out = a.out.row(row + begin + i) + column;
    C delta = 0;
#pragma omp simd reduction(+ : delta)
    for (int64_t c = 0; c < d; ++c) delta += dout.row(i)[c] * static_cast<C>(out[c]);
    s.delta[i] = delta;
  }
  std::fill_n(s.dq, queries * d, C(0));
  for (int64_t k0 = first_key_of_block(a.shape, starts, begin, end); k0 < end; k0 += kKeyBlock) {
    const int64_t keys = std::min(kKeyBlock, end - k0);
    const auto k = widened(a.k, row + k0, kv_column, keys, d, s.k);
    const auto v = widened(a.v, row + k0, kv_column, keys, d, s.v);
    gemm(Transpose::no, Transpose::yes, queries, keys, d, a.scale, q.data, q.pitch, k.data, k.pitch, 0, s.p,
         keys);
    gemm(Transpose::no, Transpose::yes, queries, keys, d, 1, dout.data, dout.pitch, v.data, v.pitch, 0, s.dp,
         keys);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t from = std::clamp<int64_t>(first_key(a.shape, starts, begin + i) - k0, 0, keys);
      const int64_t to = std::clamp<int64_t>(begin + i + 1 - k0, 0, keys);
      C *const p = s.p + i * keys, *const dp = s.dp + i * keys;
      if (!a.dropout) {
        softmax_backward(p, dp, keys, from, to, lse[i], s.delta[i]);
        continue;
      }
      const int64_t visible = std::max<int64_t>(0, to - from);
      draw_factors(mask, begin + i, k0 + from, visible, static_cast<C>(a.dropout->scale()), factors);
      dropped_softmax_backward(p + from, dp + from, factors, visible, lse[i], s.delta[i]);
      hide(p, keys, from, from + visible);
      hide(dp, keys, from, from + visible);
    }
    if (a.dv.rows.data) {
      gemm(Transpose::yes, Transpose::no, keys, d, queries, 1, s.p, keys, dout.data, dout.pitch, 1,
           s.dv + k0 * d, d);
    }
    if (a.dq.rows.data) {
      gemm(Transpose::no, Transpose::no, queries, d, keys, a.scale, s.dp, keys, k.data, k.pitch, 1, s.dq, d);
    }
    if (a.dk.rows.data) {
      gemm(Transpose::yes, Transpose::no, keys, d, queries, a.scale, s.dp, keys, q.data, q.pitch, 1,
           s.dk + k0 * d, d);
    }
  }
  if (a.dq.rows.data) store(s.dq, a.dq.rows, row + begin, column, queries, d, a.dq.write);
}

// All query heads that share one key and value head of one row, in order.
template <class T>
void head_group(const Problem<T>& a, const BackwardScratch<T>& s, int64_t b, int64_t kv_head) {
  using C = compute_t<T>;
  const int64_t d = a.shape.head_dim, tokens = a.shape.tokens, group = a.shape.heads / a.shape.kv_heads;
  std::fill_n(s.dk, tokens * d, C(0));
  std::fill_n(s.dv, tokens * d, C(0));
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (int64_t begin = 0; begin < tokens; begin += kQueryBlock)
      query_block(a, s, b, h, begin, std::min(tokens, begin + kQueryBlock));
  }
  if (a.dk.rows.data) store(s.dk, a.dk.rows, b * tokens, kv_head * d, tokens, d, a.dk.write);
  if (a.dv.rows.data) store(s.dv, a.dv.rows, b * tokens, kv_head * d, tokens, d, a.dv.write);
}

}  // namespace

template <class T>
void attention_backward(const AttentionShape& shape, double scale, Rows<const T> dout, Rows<const T> q,
                        Rows<const T> k, Rows<const T> v, const int32_t* document_start, Rows<const T> out,
                        const compute_t<T>* lse, AttentionGradient<T> dq, AttentionGradient<T> dk,
                        AttentionGradient<T> dv, void* workspace, const AttentionDropout* dropout) {
  if (dropout && !dropout->drops()) dropout = nullptr;
  const Problem<T> problem{shape, scale, dout, q, k, v, document_start, out, lse, dq, dk, dv, dropout};
  const int64_t per_thread = BackwardScratch<T>(nullptr, shape).elements;
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t grain = attention_grain(5 * shape.tokens * shape.tokens / 2 * shape.head_dim * group);
  parallel_pieces(shape.batch * shape.kv_heads, grain, [&](int64_t first, int64_t last, int worker) {
    auto* const start = static_cast<compute_t<T>*>(workspace) + worker * per_thread;
    const BackwardScratch<T> scratch(start, shape);
    for (int64_t piece = first; piece < last; ++piece)
      head_group(problem, scratch, piece / shape.kv_heads, piece % shape.kv_heads);
  });
}

template <class T>
int64_t attention_backward_workspace_bytes(const AttentionShape& shape, int threads) {
  return threads * BackwardScratch<T>(nullptr, shape).elements * static_cast<int64_t>(sizeof(compute_t<T>));
}

#define LETHE_ATTENTION_BACKWARD(T)                                                                    \
  template void attention_backward<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>,     \
                                      Rows<const T>, Rows<const T>, const int32_t*, Rows<const T>,     \
                                      const compute_t<T>*, AttentionGradient<T>, AttentionGradient<T>, \
                                      AttentionGradient<T>, void*, const AttentionDropout*);           \
  template int64_t attention_backward_workspace_bytes<T>(const AttentionShape&, int);
LETHE_ATTENTION_BACKWARD(double)
LETHE_ATTENTION_BACKWARD(float)
LETHE_ATTENTION_BACKWARD(bf16)
#undef LETHE_ATTENTION_BACKWARD

}  // namespace lethe::kernels::cpu
