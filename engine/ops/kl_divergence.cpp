// y_i = sum_j p_ij (log p_ij - log q_ij), p and q the softmaxes of two rows of logits.
#include "engine/ops/kl_divergence.h"

#include "engine/ops/cross_entropy.h"
#include "kernels/kl_divergence.h"

namespace lethe::ops {
namespace {

class KlDivergence final : public Op {
 public:
  std::string_view name() const override { return "kl_divergence"; }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::kl_divergence<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                     launch.in[2].as<const int32_t>().data,
                                     launch.out[0].as<compute_t<T>>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::kl_divergence<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                      launch.in[2].as<const int32_t>().data,
                                      launch.out[0].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif
};

}  // namespace

Var kl_divergence(Tape& tape, Var p, Var q, Var labels, const std::string& name) {
  check_labels(tape, name, p, labels);
  const TensorInfo &a = tape.info(p), &b = tape.info(q);
  if (a.shape != b.shape || a.dtype != b.dtype) {
    throw ShapeError(tape.path(name), a.path + " " + text_of(a.shape) + " of " +
                                          std::string(name_of(a.dtype)) + " and " + b.path + " " +
                                          text_of(b.shape) + " of " + std::string(name_of(b.dtype)) +
                                          " are not logits of the same tokens");
  }
  const Var y = tape.tensor({a.rows()}, compute_dtype(a.dtype), name);
  tape.append(std::make_shared<KlDivergence>(), {p, q, labels}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
