// Attention of new tokens to keys and values that were kept, as text is generated. A cache is a matrix of
// slots * capacity rows: the token at `position` of slot s is row s * capacity + position. A program's token
// i has row r_i and sees, within its slot,
//   max(0, position - window + 1) <= j <= position       (window 0: no window)
// with the formula of kernels/attention.h; new tokens are kept before any of them looks. Tokens of any slots
// may stand in any order: a prompt being read and one token of many samples are the same problem. r_i < 0: no
// token is there, nothing is kept and its out is 0. What a token gets depends on nothing but its slot.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

struct CachedAttentionShape {
  int64_t tokens = 0;    // N, of all slots together
  int64_t heads = 0;     // H, a multiple of kv_heads
  int64_t kv_heads = 0;  // Hkv
  int64_t head_dim = 0;  // D, at most kMostCachedHeadDim
  int64_t capacity = 0;  // rows of a slot
  int64_t window = 0;    // tokens a token sees, itself included; 0: all
};

constexpr int64_t kMostCachedHeadDim = 256;  // on a GPU kernels::cuda::kMostHeadDim

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

// Copies row i of x: [N, width] to row rows[i] of cache: [slots * capacity, width]; rows: [N].
template <class T>
void keep_rows(Rows<const T> x, const int32_t* rows, Rows<T> cache);

// q: [N, H*D]; keys, values: [slots * capacity, Hkv*D]; rows: [N]; out: [N, H*D], overwritten.
template <class T>
void cached_attention(const CachedAttentionShape& shape, double scale, Rows<const T> q, Rows<const T> keys,
                      Rows<const T> values, const int32_t* rows, Rows<T> out);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void keep_rows(Rows<const T> x, const int32_t* rows, Rows<T> cache, Stream stream);

// workspace: what the parts of a long row's keys leave to be joined; none where a row has one part.
template <class T>
void cached_attention(const CachedAttentionShape& shape, double scale, Rows<const T> q, Rows<const T> keys,
                      Rows<const T> values, const int32_t* rows, Rows<T> out, void* workspace, Stream stream);

// Keys of a slot are cut into parts of so many, by the capacity alone: the order of the sums never depends on
// what else is generated.
constexpr int64_t kCachedPart = 512;
template <class T>
int64_t cached_attention_workspace_bytes(const CachedAttentionShape& shape) {
  const int64_t parts = (shape.capacity + kCachedPart - 1) / kCachedPart;
  if (parts < 2) return 0;
  return shape.tokens * shape.heads * parts * (shape.head_dim + 2) *
         static_cast<int64_t>(sizeof(compute_t<T>));
}

}  // namespace lethe::kernels::cuda
