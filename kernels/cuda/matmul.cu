// Products by cuBLASLt where it has the combination of types, else by a plain tiled kernel of our own. A
// float operand beside a bf16 one is split into two bf16 parts, x = high + low to 16 bits, and multiplied
// part by part: no wide copy of the large operand is made.
#include <array>
#include <type_traits>

#include "kernels/cuda/matmul_plain.cuh"
#include "kernels/cuda/matmul_split.cuh"
#include "kernels/matmul.h"

namespace lethe::kernels::cuda {
namespace {

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
  plain_matmul(form, alpha, a, b, c, write, stream);
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
