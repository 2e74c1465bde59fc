// The gated unit and what it is made of: element-wise passes. The backward pass of swiglu reads its three
// inputs once for both gradients.
#include "kernels/cuda/elements.cuh"
#include "kernels/swiglu.h"

namespace lethe::kernels::cuda {
namespace {

template <class C>
__device__ C sigmoid(C x) {
  if constexpr (sizeof(C) == sizeof(double)) return C(1) / (C(1) + exponential(-x));
  // The hardware's reciprocal, within a unit in the last place: 0 of an infinite sum.
  return __fdividef(1.0f, 1.0f + exponential(-x));
}

template <class C>
__device__ C silu_slope(C x, C s) {
  return s * (C(1) + x * (C(1) - s));
}

// The element-wise functions of one or two inputs, f(a, b); b is not read where the function has one.
struct SwigluValue {
  static constexpr bool binary = true;
  template <class T>
  static __device__ compute_t<T> of(compute_t<T> gate, compute_t<T> up) {
    // Rounded before the product: the same bits as silu followed by mul.
    return widen(narrow<T>(gate * sigmoid(gate))) * up;
  }
};
struct SiluValue {
  static constexpr bool binary = false;
  template <class T>
  static __device__ compute_t<T> of(compute_t<T> x, compute_t<T>) {
    return x * sigmoid(x);
  }
};
struct SiluGradient {
  static constexpr bool binary = true;
  template <class T>
  static __device__ compute_t<T> of(compute_t<T> dy, compute_t<T> x) {
    return dy * silu_slope(x, sigmoid(x));
  }
};
struct Product {
  static constexpr bool binary = true;
  template <class T>
  static __device__ compute_t<T> of(compute_t<T> a, compute_t<T> b) {
    return a * b;
  }
};

template <class T, class F>
struct Map {
  static constexpr int vector = kVector<T>;
  Rows<const T> x, y;
  Rows<T> z;
  Write write;

  template <int N>
  __device__ Values<T, N> value(int64_t r, int64_t c) const {
    const auto a = load<N>(row_of(x, r) + c);
    Values<T, N> b = a, out;
    if constexpr (F::binary) b = load<N>(row_of(y, r) + c);
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = F::template of<T>(a.at[i], b.at[i]);
    return joined(row_of(z, r) + c, out, write);
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<T, N>& out) const {
    store(row_of(z, r) + c, out, Write::overwrite);
  }
};

template <class F, class T>
void map(Rows<const T> x, Rows<const T> y, Rows<T> z, Write write, Stream stream) {
  for_elements(
      stream,
      [&](auto a, auto b, auto out) {
        return Map<T, F>{a, b, out, write};
      },
      x, y, z);
}

template <class T>
struct SwigluBackward {
  static constexpr int vector = kVector<T>;
  Rows<const T> dy, gate, up;
  Rows<T> dgate, dup;  // data null: not wanted
  Write write_gate, write_up;

  template <int N>
  struct Both {
    Pack<T, N> to_gate, to_up;
  };

  template <int N>
  __device__ Both<N> value(int64_t r, int64_t c) const {
    const auto d = load<N>(row_of(dy, r) + c), g = load<N>(row_of(gate, r) + c);
    const auto u = load<N>(row_of(up, r) + c);
    Values<T, N> to_gate, to_up;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const compute_t<T> s = sigmoid(g.at[i]);
      to_up.at[i] = d.at[i] * (g.at[i] * s);
      to_gate.at[i] = d.at[i] * u.at[i] * silu_slope(g.at[i], s);
    }
    if (dup.data) to_up = joined(row_of(dup, r) + c, to_up, write_up);
    if (dgate.data) to_gate = joined(row_of(dgate, r) + c, to_gate, write_gate);
    return {narrow(to_gate), narrow(to_up)};
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Both<N>& both) const {
    if (dup.data) store_pack(row_of(dup, r) + c, both.to_up);
    if (dgate.data) store_pack(row_of(dgate, r) + c, both.to_gate);
  }
};

}  // namespace

template <class T>
void swiglu(Rows<const T> gate, Rows<const T> up, Rows<T> y, Stream stream) {
  map<SwigluValue>(gate, up, y, Write::overwrite, stream);
}

template <class T>
void swiglu_backward(Rows<const T> dy, Rows<const T> gate, Rows<const T> up, Rows<T> dgate, Write write_gate,
                     Rows<T> dup, Write write_up, Stream stream) {
  // What is not wanted takes the other's place, so that it does not decide how wide a thread's piece is.
  const bool for_gate = dgate.data, for_up = dup.data;
  if (!for_gate && !for_up) return;
  const auto make = [&](auto d, auto g, auto u, auto to_gate, auto to_up) {
    if (!for_gate) to_gate.data = nullptr;
    if (!for_up) to_up.data = nullptr;
    return SwigluBackward<T>{d, g, u, to_gate, to_up, write_gate, write_up};
  };
  for_elements(stream, make, dy, gate, up, for_gate ? dgate : dup, for_up ? dup : dgate);
}

template <class T>
void silu(Rows<const T> x, Rows<T> y, Stream stream) {
  map<SiluValue>(x, x, y, Write::overwrite, stream);
}

template <class T>
void silu_backward(Rows<const T> dy, Rows<const T> x, Rows<T> dx, Write write, Stream stream) {
  map<SiluGradient>(dy, x, dx, write, stream);
}

template <class T>
void mul(Rows<const T> x, Rows<const T> y, Rows<T> z, Write write, Stream stream) {
  map<Product>(x, y, z, write, stream);
}

#define LETHE_SWIGLU(T)                                                                                  \
  template void swiglu<T>(Rows<const T>, Rows<const T>, Rows<T>, Stream);                                \
  template void swiglu_backward<T>(Rows<const T>, Rows<const T>, Rows<const T>, Rows<T>, Write, Rows<T>, \
                                   Write, Stream);                                                       \
  template void silu<T>(Rows<const T>, Rows<T>, Stream);                                                 \
  template void silu_backward<T>(Rows<const T>, Rows<const T>, Rows<T>, Write, Stream);                  \
  template void mul<T>(Rows<const T>, Rows<const T>, Rows<T>, Write, Stream);
LETHE_SWIGLU(double)
LETHE_SWIGLU(float)
LETHE_SWIGLU(bf16)
#undef LETHE_SWIGLU

}  // namespace lethe::kernels::cuda
