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
// The truth w is kept in the optimizer's type M; a narrower parameter is its rounding, so updates far below
// the parameter's resolution add up.
#pragma once

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
  const double* learning_rate = nullptr;
  const int64_t* step = nullptr;           // from 1
  const double* gradient_scale = nullptr;  // of clipping; not finite: nothing is changed
};

namespace cpu {

// P: the parameter's storage, G: the gradient's, M: the optimizer's (float or double, not narrower than P).
// All have the same rows and width. truth is the parameter itself where P is M.
template <class P, class G, class M>
struct UpdateTensors {
  Rows<P> parameter;
  Rows<M> truth;
  Rows<const G> gradient;
  Rows<M> m, v;  // Lion has no v
};

// moved: how many stored parameters changed their value; replaced or added to.
template <class P, class G, class M>
void adamw(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved);
template <class P, class G, class M>
void lion(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved);

}  // namespace cpu

namespace cuda {

using cpu::UpdateTensors;

template <class P, class G, class M>
void adamw(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
           const UpdateScalars& scalars, int64_t* moved, Write write_moved, Stream stream);
template <class P, class G, class M>
void lion(const UpdateTensors<P, G, M>& tensors, const UpdateConstants& constants,
          const UpdateScalars& scalars, int64_t* moved, Write write_moved, Stream stream);

}  // namespace cuda

}  // namespace lethe::kernels
