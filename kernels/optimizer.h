// The parameter updates, m and v the moving averages and g the gradient times *gradient_scale.
//
// AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019; as torch.optim.AdamW), t from 1:
//   p -= decay * p;   m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
//   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)
// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023), sign(0) = 0:
//   p -= decay * p;   p -= lr * sign(b1 m + (1 - b1) g);   m = b2 m + (1 - b2) g
// decay = lr * weight_decay, or, fully decoupled, (lr / peak_learning_rate) * weight_decay, which is not
// multiplied by the learning rate's size.
//
// A parameter P may be narrower than its averages M. Then the truth is kept beside it, and updates far below
// the parameter's resolution add up: as a copy in M, of which the parameter is the rounding, or, of a bf16
// beside floats, as 16 bits that together with the parameter make the float (update_rule.h). Where the
// averages are bf16 themselves there is no more than the parameter: all three are rounded at random, so that
// what is below their resolution moves them now and then, and on average by the right amount.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

struct UpdateConstants {
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;  // Lion has none
  double weight_decay = 0;
  bool decoupled_decay = false;
  double peak_learning_rate = 0;  // read where the decay is decoupled
};

// What changes from step to step lies in memory, where a recorded program finds it.
struct UpdateScalars {
  const double* learning_rates = nullptr;  // by group
  const int64_t* step = nullptr;           // from 1
  const double* gradient_scale = nullptr;  // of clipping; not finite: nothing is changed
  const int64_t* seed = nullptr;           // of random rounding; null where nothing is rounded so
};

// Where the truth is: the parameter itself (P is M, or both are bf16), a copy, or 16 bits beside it.
enum class Truth { parameter, copy, remainder };

// P: the parameter's storage, G: the gradient's, M: the averages', none narrower than P. All have the same
// rows, width and pitch.
template <class P, class G, class M, Truth kTruth>
struct UpdateTensors {
  using Master = std::conditional_t<kTruth == Truth::remainder, uint16_t, M>;
  Rows<P> parameter;
  Rows<Master> master;  // of Truth::copy and Truth::remainder
  Rows<const G> gradient;
  Rows<M> m, v;         // Lion has no v
  int32_t group = 0;    // of the learning rate and the constants
  uint32_t stream = 0;  // which tensor, for random rounding
};

// The combinations of storage that the optimizers are compiled for: macro(P, G, M, truth).
#define LETHE_UPDATE_TYPES(macro)                                                                \
  macro(double, double, double, Truth::parameter) macro(float, float, float, Truth::parameter)   \
      macro(bf16, float, float, Truth::copy) macro(bf16, bf16, float, Truth::copy)               \
          macro(bf16, float, float, Truth::remainder) macro(bf16, bf16, float, Truth::remainder) \
              macro(bf16, float, bf16, Truth::parameter) macro(bf16, bf16, bf16, Truth::parameter)

namespace cpu {

// constants and the learning rate are those of the tensor's group. moved: how many stored parameters changed
// their value; replaced or added to.
template <class P, class G, class M, Truth kTruth>
void adamw(const UpdateTensors<P, G, M, kTruth>& tensors, std::span<const UpdateConstants> groups,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved);
template <class P, class G, class M, Truth kTruth>
void lion(const UpdateTensors<P, G, M, kTruth>& tensors, std::span<const UpdateConstants> groups,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved);

}  // namespace cpu

namespace cuda {

// At most so many groups, and rows, widths and pitches below 2^32.
constexpr size_t kMostUpdateGroups = 64;
// Scratch for a call.
constexpr int64_t kUpdateWorkspaceBytes = kMostUpdateGroups * 16 * sizeof(double);

// All tensors in one pass, some 450 a launch; element for element the bits of the CPU.
template <class P, class G, class M, Truth kTruth>
void adamw(std::span<const UpdateTensors<P, G, M, kTruth>> tensors, std::span<const UpdateConstants> groups,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved, void* workspace, Stream stream);
template <class P, class G, class M, Truth kTruth>
void lion(std::span<const UpdateTensors<P, G, M, kTruth>> tensors, std::span<const UpdateConstants> groups,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved, void* workspace, Stream stream);

}  // namespace cuda

}  // namespace lethe::kernels
