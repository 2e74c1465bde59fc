// Causal attention with grouped queries (Ainslie et al., "GQA", 2023): query head h reads key and value head
// h / (heads / kv_heads). Within one row of the batch, token i sees the tokens
//   max(document_start_i, i - window + 1) <= j <= i        (window 0: no window)
// and per head, over those j,
//   s_ij = scale * q_i . k_j,   lse_i = log sum_j exp(s_ij),   p_ij = exp(s_ij - lse_i),   o_i = sum_j p_ij
//   v_j.
// Computed block by block with a running softmax, never as a T x T matrix (Dao et al., "FlashAttention",
// 2022). With delta_i = do_i . o_i the gradients are
//   ds_ij = p_ij (do_i . v_j - delta_i),   dq_i = scale sum_j ds_ij k_j,   dk_j = scale sum_i ds_ij q_i,
//   dv_j = sum_i p_ij do_i,                summed over the query heads of a group.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

struct AttentionShape {
  int64_t batch = 0;     // B rows
  int64_t tokens = 0;    // T, of each row
  int64_t heads = 0;     // H, a multiple of kv_heads
  int64_t kv_heads = 0;  // Hkv
  int64_t head_dim = 0;  // D
  int64_t window = 0;    // tokens a token sees, itself included; 0: all since its document's start
  // The most documents that the B rows can hold together. B: each row is one document, and document_start
  // need not be read. 0: not known.
  int64_t documents = 0;
  bool deterministic = false;  // the same bits from run to run, where a faster way would not promise them

  bool packed() const { return documents > batch; }
};

struct AttentionDropout;  // kernels/attention_dropout.h

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

// q: [B*T, H*D]; k, v: [B*T, Hkv*D]; document_start: [B*T], positions within the row. out: [B*T, H*D] and
// lse: [B*H, T] are overwritten. A token that sees nothing gets out 0. workspace:
// attention_workspace_bytes() for as many threads as Team::current() has; the result does not depend on it.
// dropout: null drops nothing; the gradients take the same.
template <class T>
void attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
               const int32_t* document_start, Rows<T> out, compute_t<T>* lse, void* workspace,
               const AttentionDropout* dropout = nullptr);
template <class T>
int64_t attention_workspace_bytes(const AttentionShape& shape, int threads);

// The same for rows in which texts branch: a beginning, and behind it several ways to go on, each of which
// sees the beginning and itself. hidden: [2, B*T], token i sees none of the row's tokens from hidden[i] up to
// but not including hidden[B*T + i]; where that is no token, as above. Without a window.
template <class T>
void branched_attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                        Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                        compute_t<T>* lse, void* workspace);

// One of the three gradients; without data it is not wanted and not computed.
template <class T>
struct AttentionGradient {
  Rows<T> rows;
  Write write = Write::overwrite;
};

// dout: [B*T, H*D]; out and lse as the forward pass left them; dq, dk, dv: the shapes of q, k, v.
template <class T>
void attention_backward(const AttentionShape& shape, double scale, Rows<const T> dout, Rows<const T> q,
                        Rows<const T> k, Rows<const T> v, const int32_t* document_start, Rows<const T> out,
                        const compute_t<T>* lse, AttentionGradient<T> dq, AttentionGradient<T> dk,
                        AttentionGradient<T> dv, void* workspace, const AttentionDropout* dropout = nullptr);
template <class T>
int64_t attention_backward_workspace_bytes(const AttentionShape& shape, int threads);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

using cpu::AttentionGradient;

constexpr int64_t kMostHeadDim = 128;

// head_dim up to kMostHeadDim.
template <class T>
void attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
               const int32_t* document_start, Rows<T> out, compute_t<T>* lse, Stream stream,
               const AttentionDropout* dropout = nullptr);
template <class T>
void branched_attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                        Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                        compute_t<T>* lse, Stream stream);

// workspace: delta of every token and head.
template <class T>
void attention_backward(const AttentionShape& shape, double scale, Rows<const T> dout, Rows<const T> q,
                        Rows<const T> k, Rows<const T> v, const int32_t* document_start, Rows<const T> out,
                        const compute_t<T>* lse, AttentionGradient<T> dq, AttentionGradient<T> dk,
                        AttentionGradient<T> dv, void* workspace, Stream stream,
                        const AttentionDropout* dropout = nullptr);
template <class T>
int64_t attention_backward_workspace_bytes(const AttentionShape& shape) {
  return shape.batch * shape.heads * shape.tokens * static_cast<int64_t>(sizeof(compute_t<T>));
}

}  // namespace lethe::kernels::cuda
