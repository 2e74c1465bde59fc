// Cross-entropy of a softmax over V logits x with the target label t, per row:
//   lse = log sum_j exp(x_j),   loss = lse - x_t,   dx_j = dloss * (exp(x_j - lse) - [j == t]).
// Rows whose label is kIgnoredLabel have loss and lse 0 and no gradient. Labels outside [0, V) are the
// caller's error: see first_invalid_label.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

constexpr int32_t kIgnoredLabel = -100;

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

// logits: [N, V]; labels: [N]. losses, lse: [N], in nats, overwritten.
template <class T>
void cross_entropy(Rows<const T> logits, const int32_t* labels, compute_t<T>* losses, compute_t<T>* lse);

// dlosses: [N]; dlogits: [N, V], may be the memory of logits when it is overwritten.
template <class T>
void cross_entropy_backward(Rows<const T> logits, const int32_t* labels, const compute_t<T>* lse,
                            const compute_t<T>* dlosses, Rows<T> dlogits, Write write);

// Forward and gradient at once: losses are written, and logits are overwritten with their gradient where
// every loss has the gradient *seed.
template <class T, class S>
void cross_entropy_training(Rows<T> logits, const int32_t* labels, const S* seed, compute_t<T>* losses);

// The number of rows with a label whose largest logit (the first of equals) is the label's.
template <class T>
int64_t count_correct(Rows<const T> logits, const int32_t* labels);

// The index of the first label that is neither kIgnoredLabel nor in [0, vocabulary), or -1.
int64_t first_invalid_label(const int32_t* labels, int64_t count, int64_t vocabulary);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void cross_entropy(Rows<const T> logits, const int32_t* labels, compute_t<T>* losses, compute_t<T>* lse,
                   Stream stream);
template <class T>
void cross_entropy_backward(Rows<const T> logits, const int32_t* labels, const compute_t<T>* lse,
                            const compute_t<T>* dlosses, Rows<T> dlogits, Write write, Stream stream);
template <class T, class S>
void cross_entropy_training(Rows<T> logits, const int32_t* labels, const S* seed, compute_t<T>* losses,
                            Stream stream);
// *total = the count, or *total += it.
template <class T>
void count_correct(Rows<const T> logits, const int32_t* labels, int64_t* total, Write write, Stream stream);

}  // namespace lethe::kernels::cuda
