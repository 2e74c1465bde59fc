// The gated unit of Shazeer, "GLU Variants Improve Transformer" (2020), and the two operations it is made of:
//   silu(x) = x * s(x), s(x) = 1 / (1 + e^-x)      mul: z = x * y      swiglu: y = silu(gate) * up
// silu(gate) is rounded to the storage type before the product, so swiglu and its composite give the same
// bits. The gradients, with s = s(gate) and silu'(x) = s(x) * (1 + x * (1 - s(x))):
//   dgate = dy * up * silu'(gate),   dup = dy * silu(gate).
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// All matrices have the same rows and width; pitches are their own (gate and up are often the two halves of
// one buffer). Outputs may be inputs.
template <class T>
void swiglu(Rows<const T> gate, Rows<const T> up, Rows<T> y);

// Each output is replaced or added to; one whose data is null is not wanted. dgate and dup must not overlap.
template <class T>
void swiglu_backward(Rows<const T> dy, Rows<const T> gate, Rows<const T> up, Rows<T> dgate, Write write_gate,
                     Rows<T> dup, Write write_up);

template <class T>
void silu(Rows<const T> x, Rows<T> y);

// dx = dy * silu'(x), replaced or added to.
template <class T>
void silu_backward(Rows<const T> dy, Rows<const T> x, Rows<T> dx, Write write);

// z = x * y, replaced or added to. Its own gradients are products too: dx = dz * y, dy = dz * x.
template <class T>
void mul(Rows<const T> x, Rows<const T> y, Rows<T> z, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void swiglu(Rows<const T> gate, Rows<const T> up, Rows<T> y, Stream stream);
template <class T>
void swiglu_backward(Rows<const T> dy, Rows<const T> gate, Rows<const T> up, Rows<T> dgate, Write write_gate,
                     Rows<T> dup, Write write_up, Stream stream);
template <class T>
void silu(Rows<const T> x, Rows<T> y, Stream stream);
template <class T>
void silu_backward(Rows<const T> dy, Rows<const T> x, Rows<T> dx, Write write, Stream stream);
template <class T>
void mul(Rows<const T> x, Rows<const T> y, Rows<T> z, Write write, Stream stream);

}  // namespace lethe::kernels::cuda
