#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/attention_blocks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_exp.h"

namespace lethe::kernels::cpu {
namespace {

// One thread's scratch: scores, the output before it is divided, its running maximum and sum, and widened
// blocks of q, k and v.
template <class T>
struct ForwardScratch {
  using C = compute_t<T>;
  C *scores, *sum_pv, *most, *sum, *q, *k, *v;
  int64_t elements = 0;

  ForwardScratch(C* start, int64_t head_dim) {
    const auto take = [&](int64_t count) {
      C* const taken = start ? start + elements : nullptr;
      elements += count;
      return taken;
    };
    const int64_t narrow = is_narrow<T> ? head_dim : 0;
    scores = take(kQueryBlock * kKeyBlock);
    sum_pv = take(kQueryBlock * head_dim);
    most = take(kQueryBlock);
    sum = take(kQueryBlock);
    q = take(kQueryBlock * narrow);
    k = take(kKeyBlock * narrow);
    v = take(kKeyBlock * narrow);
  }
};

// Keys of a block.
struct KeyRange {
  int64_t from = 0, to = 0;
};

// Turns one query's scores for `keys` keys, of which `visible` are, into exp(score - maximum), updating the
// running maximum and sum; returns what the output so far must be multiplied by.
template <class C>
C running_softmax(C* scores, int64_t keys, const KeyRange& visible, C& most, C& sum) {
  const auto [from, to] = visible;
  std::fill(scores, scores + from, C(0));
  std::fill(scores + std::max(from, to), scores + keys, C(0));
  if (from >= to) return 1;
  C block_most = most;
#pragma omp simd reduction(max : block_most)
  for (int64_t j = from; j < to; ++j) block_most = scores[j] > block_most ? scores[j] : block_most;
  C block_sum = 0;
#pragma omp simd reduction(+ : block_sum)
  for (int64_t j = from; j < to; ++j) {
    scores[j] = vector_exp(scores[j] - block_most);
    block_sum += scores[j];
  }
  const C shrink = sum == 0 ? C(0) : std::exp(most - block_most);
  sum = sum * shrink + block_sum;
  most = block_most;
  return shrink;
}

// As running_softmax, of keys with a gap that is not visible.
template <class C>
C branched_softmax(C* scores, int64_t keys, const KeyRange& visible, const KeyRange& hidden, C& most,
                   C& sum) {
  const KeyRange before{visible.from, std::min(visible.to, hidden.from)};
  const KeyRange after{std::max(visible.from, hidden.to), visible.to};
  if (hidden.from >= hidden.to || before.from >= before.to)
    return running_softmax(scores, keys, hidden.from >= hidden.to ? visible : after, most, sum);
  if (after.from >= after.to) return running_softmax(scores, keys, before, most, sum);
  // Each part by itself, the first one's weights brought to the second one's maximum.
  const C shrink = running_softmax(scores, after.from, before, most, sum);
  const C again =
      running_softmax(scores + after.from, keys - after.from, {0, after.to - after.from}, most, sum);
  for (int64_t j = before.from; j < before.to; ++j) scores[j] *= again;
  return shrink * again;
}

// Of the block of keys that begins at k0.
inline KeyRange hidden_keys(const AttentionShape& shape, const int32_t* hidden, int64_t token, int64_t k0,
                            int64_t keys) {
  const int32_t* const ends = hidden + shape.batch * shape.tokens;
  return {std::clamp<int64_t>(hidden[token] - k0, 0, keys), std::clamp<int64_t>(ends[token] - k0, 0, keys)};
}

bool all_hide(const AttentionShape& shape, const int32_t* hidden, int64_t first, int64_t queries, int64_t k0,
              int64_t keys) {
  for (int64_t i = first; i < first + queries; ++i) {
    const KeyRange gap = hidden_keys(shape, hidden, i, k0, keys);
    if (gap.to - gap.from < keys) return false;
  }
  return true;
}

// The queries [begin, end) of one row of the batch and one head. hidden: null where no text branches.
template <class T>
void attend(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
            const int32_t* document_start, const int32_t* hidden, Rows<T> out, compute_t<T>* lse,
            const ForwardScratch<T>& s, const AttentionDropout* dropout, int64_t b, int64_t h, int64_t begin,
            int64_t end) {
  using C = compute_t<T>;
  const AttentionMask mask =
      dropout ? AttentionMask::of(shape, dropout->key, dropout->threshold(), b, h) : AttentionMask{};
  C factors[kKeyBlock];
  const int64_t d = shape.head_dim, row = b * shape.tokens, queries = end - begin;
  const int64_t column = h * d, kv_column = h / (shape.heads / shape.kv_heads) * d;
  std::fill_n(s.sum_pv, queries * d, C(0));
  std::fill_n(s.most, queries, -std::numeric_limits<C>::infinity());
  std::fill_n(s.sum, queries, C(0));
  const auto q_block = widened(q, row + begin, column, queries, d, s.q);
  const int32_t* starts = document_start + row;
  for (int64_t k0 = first_key_of_block(shape, starts, begin, end); k0 < end; k0 += kKeyBlock) {
    const int64_t keys = std::min(kKeyBlock, end - k0);
    if (hidden && all_hide(shape, hidden, row + begin, queries, k0, keys)) continue;
    const auto k_block = widened(k, row + k0, kv_column, keys, d, s.k);
    const auto v_block = widened(v, row + k0, kv_column, keys, d, s.v);
    gemm(Transpose::no, Transpose::yes, queries, keys, d, scale, q_block.data, q_block.pitch, k_block.data,
         k_block.pitch, 0, s.scores, keys);
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t from = std::clamp<int64_t>(first_key(shape, starts, begin + i) - k0, 0, keys);
      const int64_t to = std::clamp<int64_t>(begin + i + 1 - k0, 0, keys);
      C* const scores = s.scores + i * keys;
      const C shrink = hidden ? branched_softmax(scores, keys, {from, to},
                                                 hidden_keys(shape, hidden, row + begin + i, k0, keys),
                                                 s.most[i], s.sum[i])
                              : running_softmax(scores, keys, {from, to}, s.most[i], s.sum[i]);
      if (shrink != 1) {
        for (int64_t c = 0; c < d; ++c) s.sum_pv[i * d + c] *= shrink;
      }
      if (!dropout || from >= to) continue;
      draw_factors(mask, begin + i, k0 + from, to - from, static_cast<C>(dropout->scale()), factors);
      for (int64_t j = from; j < to; ++j) scores[j] *= factors[j - from];
    }
    gemm(Transpose::no, Transpose::no, queries, d, keys, 1, s.scores, keys, v_block.data, v_block.pitch, 1,
         s.sum_pv, d);
  }
  for (int64_t i = 0; i < queries; ++i) {
    const C inverse = s.sum[i] == 0 ? C(0) : 1 / s.sum[i];
    T* to = out.row(row + begin + i) + column;
    for (int64_t c = 0; c < d; ++c) to[c] = static_cast<T>(s.sum_pv[i * d + c] * inverse);
    lse[(b * shape.heads + h) * shape.tokens + begin + i] = s.most[i] + std::log(s.sum[i]);
  }
}

template <class T>
void attend_everywhere(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                       Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                       compute_t<T>* lse, void* workspace, const AttentionDropout* dropout) {
  const int64_t blocks = (shape.tokens + kQueryBlock - 1) / kQueryBlock;
  const int64_t per_thread = ForwardScratch<T>(nullptr, shape.head_dim).elements;
  const int64_t grain = attention_grain(kQueryBlock * shape.tokens * shape.head_dim);
  parallel_pieces(shape.batch * shape.heads * blocks, grain, [&](int64_t first, int64_t last, int worker) {
    const ForwardScratch<T> scratch(static_cast<compute_t<T>*>(workspace) + worker * per_thread,
                                    shape.head_dim);
    for (int64_t piece = first; piece < last; ++piece) {
      const int64_t begin = piece % blocks * kQueryBlock, head = piece / blocks;
      attend(shape, scale, q, k, v, document_start, hidden, out, lse, scratch, dropout, head / shape.heads,
             head % shape.heads, begin, std::min(shape.tokens, begin + kQueryBlock));
    }
  });
}

}  // namespace

template <class T>
void branched_attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                        Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                        compute_t<T>* lse, void* workspace) {
  attend_everywhere<T>(shape, scale, q, k, v, document_start, hidden, out, lse, workspace, nullptr);
}

template <class T>
void attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
               const int32_t* document_start, Rows<T> out, compute_t<T>* lse, void* workspace,
               const AttentionDropout* dropout) {
  if (dropout && !dropout->drops()) dropout = nullptr;
  attend_everywhere<T>(shape, scale, q, k, v, document_start, nullptr, out, lse, workspace, dropout);
}

template <class T>
int64_t attention_workspace_bytes(const AttentionShape& shape, int threads) {
  return threads * ForwardScratch<T>(nullptr, shape.head_dim).elements *
         static_cast<int64_t>(sizeof(compute_t<T>));
}

#define LETHE_ATTENTION(T)                                                                                   \
  template void attention<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>, Rows<const T>,     \
                             const int32_t*, Rows<T>, compute_t<T>*, void*, const AttentionDropout*);        \
  template void branched_attention<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>,           \
                                      Rows<const T>, const int32_t*, const int32_t*, Rows<T>, compute_t<T>*, \
                                      void*);                                                                \
  template int64_t attention_workspace_bytes<T>(const AttentionShape&, int);
LETHE_ATTENTION(double)
LETHE_ATTENTION(float)
LETHE_ATTENTION(bf16)
#undef LETHE_ATTENTION

}  // namespace lethe::kernels::cpu
