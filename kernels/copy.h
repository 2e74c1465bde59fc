// y = x or y += x, between any two floating types; the value is rounded once, to y's type.
#pragma once

#include <span>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// x and y have the same rows and width; pitches are their own.
template <class X, class Y>
void copy(Rows<const X> x, Rows<Y> y, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class X, class Y>
void copy(Rows<const X> x, Rows<Y> y, Write write, Stream stream);

template <class X, class Y>
struct CopyPair {
  Rows<const X> from;
  Rows<Y> to;
};
// Copies each pair, all of them in one pass. From double, float or bf16 to the same, or from float to bf16.
template <class X, class Y>
void copy_all(std::span<const CopyPair<X, Y>> pairs, Stream stream);

}  // namespace lethe::kernels::cuda
