// The divergence of one distribution over V classes from another, both softmaxes of logits, per row (Kullback
// and Leibler 1951), in nats:
//   KL(p || q) = sum_j p_j (log p_j - log q_j),   log p_j = x_j - log sum_k exp(x_k), log q_j likewise.
// Rows whose label is kIgnoredLabel have none: 0.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// p, q: logits [N, V]; labels: [N]; divergences: [N], overwritten. Sums are taken in double.
template <class T>
void kl_divergence(Rows<const T> p, Rows<const T> q, const int32_t* labels, compute_t<T>* divergences);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void kl_divergence(Rows<const T> p, Rows<const T> q, const int32_t* labels, compute_t<T>* divergences,
                   Stream stream);

}  // namespace lethe::kernels::cuda
