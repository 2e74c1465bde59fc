// Products by cuBLASLt where it has the combination of types, else by a plain tiled kernel of our own. A
// float operand beside a bf16 one is split into two bf16 parts, x = high + low to 16 bits, and multiplied
// part by part: no wide copy of the large operand is made. cuBLASLt is column-major: it is asked for C^T =
// op(B)^T op(A)^T, which is the row-major C in memory. Float is multiplied in float, never TF32; bf16 is
// summed in float; sums split over k are joined in the compute type, in a fixed order.
#include <cublasLt.h>

#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/cuda/elements.cuh"
#include "kernels/fill.h"
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

// The two parts of x at the workspace's start, which then begins behind them.
struct TwoParts {
  Rows<const bf16> high, low;
};
TwoParts split(Rows<const float> x, void*& workspace, int64_t& workspace_bytes, Stream stream) {
  const int64_t bytes = matmul_split_bytes(x.rows, x.width), pitch = (x.width + 7) / 8 * 8;
  auto* const start = static_cast<unsigned char*>(workspace);
  const Rows<bf16> high{reinterpret_cast<bf16*>(start), x.rows, x.width, pitch};
  const Rows<bf16> low{reinterpret_cast<bf16*>(start + bytes / 2), x.rows, x.width, pitch};
  for_elements(
      stream,
      [](auto in, auto upper, auto rest) {
        return Split{in, upper, rest};
      },
      x, high, low);
  workspace = start + bytes;
  workspace_bytes -= bytes;
  return {{high.data, x.rows, x.width, pitch}, {low.data, x.rows, x.width, pitch}};
}

template <class T>
constexpr cudaDataType_t cuda_type = std::is_same_v<T, double>  ? CUDA_R_64F
                                     : std::is_same_v<T, float> ? CUDA_R_32F
                                                                : CUDA_R_16BF;

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
}

// All that the choice of an algorithm depends on.
struct Key {
  MatmulForm form;
  std::array<int, 3> types;
  std::array<int64_t, 6> sizes;       // m, n, k and the three pitches
  std::array<uint32_t, 3> alignment;  // of the addresses, in bytes
  int64_t workspace;
  auto operator<=>(const Key&) const = default;
};

uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<uintptr_t>(address);
  uint32_t alignment = 256;
  while (bits % alignment != 0) alignment /= 2;
  return alignment;
}

}  // namespace

// The descriptors of one product and the algorithm picked for it; has_algorithm is false where the library
// offers none.
struct MatmulLibrary::Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool has_algorithm = false;

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    if (first) cublasLtMatrixLayoutDestroy(first);
    if (second) cublasLtMatrixLayoutDestroy(second);
    if (result) cublasLtMatrixLayoutDestroy(result);
    if (product) cublasLtMatmulDescDestroy(product);
  }
};

struct MatmulLibrary::Parts {
  cublasLtHandle_t handle = nullptr;
  std::map<Key, Plan> plans;
};

namespace {

void describe(MatmulLibrary::Plan& plan, const Key& key) {
  const bool wide = key.types[2] == CUDA_R_64F;
  check(cublasLtMatmulDescCreate(&plan.product, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                 wide ? CUDA_R_64F : CUDA_R_32F),
        "descriptor");
  const cublasOperation_t turned = CUBLAS_OP_T;
  const auto turn = [&](cublasLtMatmulDescAttributes_t which) {
    check(cublasLtMatmulDescSetAttribute(plan.product, which, &turned, sizeof turned), "transpose");
  };
  if (key.form == MatmulForm::nt) turn(CUBLASLT_MATMUL_DESC_TRANSA);
  if (key.form == MatmulForm::tn) turn(CUBLASLT_MATMUL_DESC_TRANSB);
  const auto [m, n, k, a_pitch, b_pitch, c_pitch] = key.sizes;
  const auto layout = [](cublasLtMatrixLayout_t& made, int type, int64_t rows, int64_t width, int64_t pitch) {
    check(cublasLtMatrixLayoutCreate(&made, static_cast<cudaDataType_t>(type), static_cast<uint64_t>(width),
                                     static_cast<uint64_t>(rows), pitch),
          "layout");
  };
  const bool nt = key.form == MatmulForm::nt, tn = key.form == MatmulForm::tn;
  layout(plan.first, key.types[1], nt ? n : k, nt ? k : n, b_pitch);
  layout(plan.second, key.types[0], tn ? k : m, tn ? m : k, a_pitch);
  layout(plan.result, key.types[2], m, n, c_pitch);
}

void choose_algorithm(cublasLtHandle_t handle, MatmulLibrary::Plan& plan, const Key& key) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "preference");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, which, &value, sizeof value), "preference");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(key.workspace));
  // The parts of a split sum are never rounded to bf16; in float and double the output's type is as good.
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  if (key.types[2] != CUDA_R_16BF) schemes |= CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignment[1]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignment[0]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignment[2]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignment[2]);
  std::array<cublasLtMatmulHeuristicResult_t, 16> found{};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, plan.product, plan.first, plan.second, plan.result, plan.result,
                                     preference, static_cast<int>(found.size()), found.data(), &count);
  cublasLtMatmulPreferenceDestroy(preference);
  if (status != CUBLAS_STATUS_SUCCESS) count = 0;
  // The first is the library's best guess. Where it would leave most of the GPU idle, as for a weight
  // gradient with few outputs and a long sum, the one that fills most of it is better.
  constexpr float kMostlyIdle = 0.5f;
  float best_share = 0;
  for (int i = 0; i < count; ++i) {
    const auto& candidate = found[static_cast<size_t>(i)];
    const float share = std::min(candidate.wavesCount, 1.0f);
    if (candidate.state != CUBLAS_STATUS_SUCCESS || (plan.has_algorithm && share <= best_share)) continue;
    plan.has_algorithm = true;
    plan.algorithm = candidate.algo;
    best_share = share;
    if (share >= kMostlyIdle) break;
  }
}

template <class A, class B, class C>
Key key_of(MatmulForm form, Rows<const A> a, Rows<const B> b, Rows<C> c, int64_t workspace) {
  const int64_t k = form == MatmulForm::tn ? a.rows : a.width;
  return {form,
          {cuda_type<A>, cuda_type<B>, cuda_type<C>},
          {c.rows, c.width, k, a.pitch, b.pitch, c.pitch},
          {alignment_of(a.data), alignment_of(b.data), alignment_of(c.data)},
          workspace};
}

// The combinations that cuBLASLt multiplies: both operands of one type, the result of it or, for bf16, float.
template <class A, class B, class C>
constexpr bool in_library = std::is_same_v<A, B> && (std::is_same_v<A, C> || std::is_same_v<C, float>);

}  // namespace

MatmulLibrary::MatmulLibrary() : parts_(std::make_unique<Parts>()) {
  check(cublasLtCreate(&parts_->handle), "start");
}

MatmulLibrary::~MatmulLibrary() {
  parts_->plans.clear();
  if (parts_->handle) cublasLtDestroy(parts_->handle);
}

template <class A, class B, class C>
const MatmulLibrary::Plan* MatmulLibrary::plan(MatmulForm form, Rows<const A> a, Rows<const B> b, Rows<C> c,
                                               int64_t workspace) {
  if constexpr (!in_library<A, B, C>) return nullptr;
  const Key key = key_of(form, a, b, c, workspace);
  if (key.sizes[0] == 0 || key.sizes[1] == 0 || key.sizes[2] == 0) return nullptr;
  const auto [at, is_new] = parts_->plans.try_emplace(key);
  if (is_new) {
    describe(at->second, key);
    choose_algorithm(parts_->handle, at->second, key);
  }
  return at->second.has_algorithm ? &at->second : nullptr;
}

template <class A, class B, class C>
void matmul(MatmulLibrary& library, MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b,
            Rows<C> c, Write write, void* workspace, int64_t workspace_bytes, Stream stream) {
  using S = compute_t<C>;
  if (c.rows == 0 || c.width == 0) return;
  const int64_t depth = form == MatmulForm::tn ? a.rows : a.width;
  if constexpr (!std::is_same_v<A, B>) {
    if (depth > 0) {
      // The small part first: where the output is bf16, what it is rounded to then matters least.
      Rows<const bf16> a_high, a_low, b_high, b_low;
      if constexpr (std::is_same_v<A, float>) {
        const TwoParts parts = split(a, workspace, workspace_bytes, stream);
        a_high = parts.high, a_low = parts.low, b_high = b_low = b;
      } else {
        const TwoParts parts = split(b, workspace, workspace_bytes, stream);
        b_high = parts.high, b_low = parts.low, a_high = a_low = a;
      }
      matmul(library, form, alpha, a_low, b_low, c, write, workspace, workspace_bytes, stream);
      return matmul(library, form, alpha, a_high, b_high, c, Write::accumulate, workspace, workspace_bytes,
                    stream);
    }
  }
  const MatmulLibrary::Plan* plan = library.plan(form, a, b, c, workspace_bytes);
  const S factor = static_cast<S>(alpha), keep = write == Write::accumulate ? 1 : 0;
  if (plan) {
    check(cublasLtMatmul(library.parts().handle, plan->product, &factor, b.data, plan->first, a.data,
                         plan->second, &keep, c.data, plan->result, c.data, plan->result, &plan->algorithm,
                         workspace, static_cast<size_t>(workspace_bytes), native(stream)),
          "product");
    return;
  }
  const dim3 grid(static_cast<unsigned>((c.width + kTile - 1) / kTile),
                  static_cast<unsigned>(std::min<int64_t>((c.rows + kTile - 1) / kTile, 65535)));
  plain<A, B, C><<<grid, dim3(kTile, kTile), 0, native(stream)>>>(form, factor, a, b, c, depth, write);
}

#define LETHE_MATMUL(A, B, C)                                                                                \
  template const MatmulLibrary::Plan* MatmulLibrary::plan<A, B, C>(MatmulForm, Rows<const A>, Rows<const B>, \
                                                                   Rows<C>, int64_t);                        \
  template void matmul<A, B, C>(MatmulLibrary&, MatmulForm, double, Rows<const A>, Rows<const B>, Rows<C>,   \
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
