#include "kernels/swiglu.h"

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {
namespace {

template <class C>
[[gnu::always_inline]] inline C silu_slope(C x) {
  const C s = sigmoid(x);
  return s * (C(1) + x * (C(1) - s));
}

// out[i] = value(i) or out[i] += value(i) for i in [begin, end).
template <class T, class Value>
[[gnu::always_inline]] inline void write_span(T* out, int64_t begin, int64_t end, Write write,
                                              const Value& value) {
  using C = compute_t<T>;
  if (write == Write::accumulate) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(static_cast<C>(out[i]) + value(i));
  } else {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(value(i));
  }
}

}  // namespace

template <class T>
void swiglu(Rows<const T> gate, Rows<const T> up, Rows<T> y) {
  using C = compute_t<T>;
  parallel_elements(gate.rows, gate.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T *g = gate.row(row), *u = up.row(row);
    write_span(y.row(row), begin, end, Write::overwrite, [=](int64_t i) {
      const C x = static_cast<C>(g[i]);
      return static_cast<C>(static_cast<T>(x * sigmoid(x))) * static_cast<C>(u[i]);
    });
  });
}

template <class T>
void swiglu_backward(Rows<const T> dy, Rows<const T> gate, Rows<const T> up, Rows<T> dgate, Write write_gate,
                     Rows<T> dup, Write write_up) {
  using C = compute_t<T>;
  parallel_elements(gate.rows, gate.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T *d = dy.row(row), *g = gate.row(row), *u = up.row(row);
    if (dup.data) {
      write_span(dup.row(row), begin, end, write_up, [=](int64_t i) {
        const C x = static_cast<C>(g[i]);
        return static_cast<C>(d[i]) * (x * sigmoid(x));
      });
    }
    if (dgate.data) {
      write_span(dgate.row(row), begin, end, write_gate, [=](int64_t i) {
        return static_cast<C>(d[i]) * static_cast<C>(u[i]) * silu_slope(static_cast<C>(g[i]));
      });
    }
  });
}

template <class T>
void silu(Rows<const T> x, Rows<T> y) {
  using C = compute_t<T>;
  parallel_elements(x.rows, x.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T* in = x.row(row);
    write_span(y.row(row), begin, end, Write::overwrite, [=](int64_t i) {
      const C v = static_cast<C>(in[i]);
      return v * sigmoid(v);
    });
  });
}

template <class T>
void silu_backward(Rows<const T> dy, Rows<const T> x, Rows<T> dx, Write write) {
  using C = compute_t<T>;
  parallel_elements(x.rows, x.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T *d = dy.row(row), *in = x.row(row);
    write_span(dx.row(row), begin, end, write,
               [=](int64_t i) { return static_cast<C>(d[i]) * silu_slope(static_cast<C>(in[i])); });
  });
}

template <class T>
void mul(Rows<const T> x, Rows<const T> y, Rows<T> z, Write write) {
  using C = compute_t<T>;
  parallel_elements(x.rows, x.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T *a = x.row(row), *b = y.row(row);
    write_span(z.row(row), begin, end, write,
               [=](int64_t i) { return static_cast<C>(a[i]) * static_cast<C>(b[i]); });
  });
}

#define LETHE_SWIGLU(T)                                                                                  \
  template void swiglu<T>(Rows<const T>, Rows<const T>, Rows<T>);                                        \
  template void swiglu_backward<T>(Rows<const T>, Rows<const T>, Rows<const T>, Rows<T>, Write, Rows<T>, \
                                   Write);                                                               \
  template void silu<T>(Rows<const T>, Rows<T>);                                                         \
  template void silu_backward<T>(Rows<const T>, Rows<const T>, Rows<T>, Write);                          \
  template void mul<T>(Rows<const T>, Rows<const T>, Rows<T>, Write);
LETHE_SWIGLU(double)
LETHE_SWIGLU(float)
LETHE_SWIGLU(bf16)
#undef LETHE_SWIGLU

}  // namespace lethe::kernels::cpu
