// Products by cuBLASLt where it has the combination of types, else by a plain tiled kernel of our own. A
// float operand beside a bf16 one is split into two bf16 parts, x = high + low to 16 bits, and multiplied
// part by part: no wide copy of the large operand is made.
#include <array>
#include <type_traits>

#include "kernels/cuda/elements.cuh"
#include "kernels/matmul.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kTile = 16;

// One output a thread; tiles of both operands widened in shared memory.
template <class A, class B, class C>
__global__ void plain(MatmulForm form, compute_t<C> alpha, Rows<const A> a, Rows<const B> b, Rows<C> c,
                      int64_t depth, Write write) {
  using S = compute_t<C>;
  __shared__ S left[kTile][kTile + 1], right[kTile][kTile + 1];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  for (int64_t top = static_cast<int64_t>(blockIdx.y) * kTile; top < c.rows;
       top += static_cast<int64_t>(gridDim.y) * kTile) {
    const int64_t row = top + ty, first_column = static_cast<int64_t>(blockIdx.x) * kTile,
                  column = first_column + tx;
    S sum = 0;
    for (int64_t k0 = 0; k0 < depth; k0 += kTile) {
      const int64_t ka = k0 + tx, kb = k0 + ty;
      const bool has_a = row < c.rows && ka < depth, tn = form == MatmulForm::tn, nt = form == MatmulForm::nt;
      left[ty][tx] = has_a ? widen(tn ? row_of(a, ka)[row] : row_of(a, row)[ka]) : S(0);
      const bool has_b = kb < depth && column < c.width;
      right[ty][tx] = has_b ? widen(nt ? row_of(b, column)[kb] : row_of(b, kb)[column]) : S(0);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kTile; ++k) sum += left[ty][k] * right[k][tx];
      __syncthreads();
    }
    if (row < c.rows && column < c.width) store(row_of(c, row) + column, Values<C, 1>{alpha * sum}, write);
  }
}

struct Split {
  static constexpr int vector = 4;
  Rows<const float> x;
  Rows<bf16> high, low;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c);
    Values<bf16, N> upper, rest;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      upper.at[i] = widen(narrow<bf16>(v.at[i]));
      rest.at[i] = v.at[i] - upper.at[i];
    }
    store(row_of(high, r) + c, upper, Write::overwrite);
    store(row_of(low, r) + c, rest, Write::overwrite);
  }
};

// The two parts of x.
struct TwoParts {
  Rows<bf16> high, low;
};
Rows<const bf16> readable(Rows<bf16> x) {
  return {x.data, x.rows, x.width, x.pitch};
}

// Lays them at the workspace's start, which then begins behind them.
TwoParts place_parts(Rows<const float> x, void*& workspace, int64_t& workspace_bytes) {
  const int64_t bytes = matmul_split_bytes(x.rows, x.width), pitch = (x.width + 7) / 8 * 8;
  auto* const start = static_cast<unsigned char*>(workspace);
  workspace = start + bytes;
  workspace_bytes -= bytes;
  return {{reinterpret_cast<bf16*>(start), x.rows, x.width, pitch},
          {reinterpret_cast<bf16*>(start + bytes / 2), x.rows, x.width, pitch}};
}

void split(Rows<const float> x, const TwoParts& parts, Stream stream) {
  for_elements(
      stream,
      [](auto in, auto upper, auto rest) {
        return Split{in, upper, rest};
      },
      x, parts.high, parts.low);
}

// The two products that a mixed one is the sum of. The small part comes first: where the output is bf16, what
// it is rounded to then matters least.
struct Operands {
  Rows<const bf16> a, b;
};
std::array<Operands, 2> products_of(const TwoParts& a, Rows<const bf16> b) {
  return {{{readable(a.low), b}, {readable(a.high), b}}};
}
std::array<Operands, 2> products_of(Rows<const bf16> a, const TwoParts& b) {
  return {{{a, readable(b.low)}, {a, readable(b.high)}}};
}
constexpr Write write_of(size_t product, Write write) {
  return product == 0 ? write : Write::accumulate;
}

// The combinations that cuBLASLt multiplies: both operands of one type, the result of it or, for bf16, float.
template <class A, class B, class C>
constexpr bool in_library = std::is_same_v<A, B> && (std::is_same_v<A, C> || std::is_same_v<C, float>);

int64_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address);
  int64_t alignment = 256;
  while (bits % static_cast<uintptr_t>(alignment) != 0) alignment /= 2;
  return alignment;
}

template <class A, class B, class C>
MatmulProduct product_of(MatmulForm form, Rows<const A> a, Rows<const B> b, Rows<C> c, Write write,
                         int64_t workspace) {
  return {.form = form,
          .types = {matmul_type<A>, matmul_type<B>, matmul_type<C>},
          .m = c.rows,
          .n = c.width,
          .k = form == MatmulForm::tn ? a.rows : a.width,
          .pitches = {a.pitch, b.pitch, c.pitch},
          .alignments = {alignment_of(a.data), alignment_of(b.data), alignment_of(c.data)},
          .write = write,
          .workspace = workspace};
}

}  // namespace

template <class A, class B, class C>
bool prepare_matmul(MatmulLibrary& library, MatmulForm form, Rows<const A> a, Rows<const B> b, Rows<C> c,
                    Write write, void* workspace, int64_t workspace_bytes) {
  if constexpr (!std::is_same_v<A, B>) {
    bool all = true;
    const auto prepare = [&](const std::array<Operands, 2>& products) {
      for (size_t i = 0; i < products.size(); ++i) {
        all &= prepare_matmul(library, form, products[i].a, products[i].b, c, write_of(i, write), workspace,
                              workspace_bytes);
      }
    };
    if constexpr (std::is_same_v<A, float>) {
      prepare(products_of(place_parts(a, workspace, workspace_bytes), b));
    } else {
      prepare(products_of(a, place_parts(b, workspace, workspace_bytes)));
    }
    return all;
  } else if constexpr (in_library<A, B, C>) {
    return library.prepare(product_of(form, a, b, c, write, workspace_bytes)) != nullptr;
  } else {
    return false;
  }
}

template <class A, class B, class C>
void matmul(MatmulLibrary& library, MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b,
            Rows<C> c, Write write, void* workspace, int64_t workspace_bytes, Stream stream) {
  if (c.rows == 0 || c.width == 0) return;
  const int64_t depth = form == MatmulForm::tn ? a.rows : a.width;
  if constexpr (!std::is_same_v<A, B>) {
    if (depth > 0) {
      const auto run = [&](const std::array<Operands, 2>& products) {
        for (size_t i = 0; i < products.size(); ++i) {
          matmul(library, form, alpha, products[i].a, products[i].b, c, write_of(i, write), workspace,
                 workspace_bytes, stream);
        }
      };
      if constexpr (std::is_same_v<A, float>) {
        const TwoParts parts = place_parts(a, workspace, workspace_bytes);
        split(a, parts, stream);
        return run(products_of(parts, b));
      } else {
        const TwoParts parts = place_parts(b, workspace, workspace_bytes);
        split(b, parts, stream);
        return run(products_of(a, parts));
      }
    }
  }
  if constexpr (in_library<A, B, C>) {
    const auto* const plan = library.plan(product_of(form, a, b, c, write, workspace_bytes));
    if (plan) return library.run(*plan, alpha, a.data, b.data, c.data, workspace, stream);
  }
  const dim3 grid(static_cast<unsigned>((c.width + kTile - 1) / kTile),
                  static_cast<unsigned>(std::min<int64_t>((c.rows + kTile - 1) / kTile, 65535)));
  plain<A, B, C><<<grid, dim3(kTile, kTile), 0, native(stream)>>>(form, static_cast<compute_t<C>>(alpha), a,
                                                                  b, c, depth, write);
}

#define LETHE_MATMUL(A, B, C)                                                                              \
  template bool prepare_matmul<A, B, C>(MatmulLibrary&, MatmulForm, Rows<const A>, Rows<const B>, Rows<C>, \
                                        Write, void*, int64_t);                                            \
  template void matmul<A, B, C>(MatmulLibrary&, MatmulForm, double, Rows<const A>, Rows<const B>, Rows<C>, \
                                Write, void*, int64_t, Stream);
LETHE_MATMUL(double, double, double)
LETHE_MATMUL(float, float, float)
LETHE_MATMUL(float, float, bf16)
LETHE_MATMUL(float, bf16, float)
LETHE_MATMUL(float, bf16, bf16)
LETHE_MATMUL(bf16, float, float)
LETHE_MATMUL(bf16, float, bf16)
LETHE_MATMUL(bf16, bf16, float)
LETHE_MATMUL(bf16, bf16, bf16)
#undef LETHE_MATMUL

}  // namespace lethe::kernels::cuda
