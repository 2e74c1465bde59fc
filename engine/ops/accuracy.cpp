// correct = sum over rows of [argmax_j x_j == t]; a count has no gradient.
#include "engine/ops/accuracy.h"

#include "engine/ops/cross_entropy.h"
#include "kernels/cross_entropy.h"

namespace lethe::ops {
namespace {

class Accuracy final : public Op {
 public:
  std::string_view name() const override { return "accuracy"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const int64_t correct =
          kernels::cpu::count_correct<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data);
      int64_t& total = launch.out[0].scalar<int64_t>();
      total = launch.write(0) == kernels::Write::accumulate ? total + correct : correct;
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::count_correct<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data,
                                      launch.out[0].as<int64_t>().data, launch.write(0), launch.stream);
    });
  }
#endif
};

}  // namespace

void accuracy(Tape& tape, Var logits, Var labels, Output into, const std::string& name) {
  check_labels(tape, name, logits, labels);
  const TensorInfo& to = tape.info(into.var);
  if (to.dtype != DType::i64 || to.elements() != 1) {
    throw ShapeError(tape.path(name), "the count goes into one int64, not " + to.path + " " +
                                          text_of(to.shape) + " of " + std::string(name_of(to.dtype)));
  }
  tape.append(std::make_shared<Accuracy>(), {logits, labels}, {into}, name);
}

Var accuracy(Tape& tape, Var logits, Var labels, const std::string& name) {
  const Var count = tape.tensor({1}, DType::i64, name);
  accuracy(tape, logits, labels, {count}, name);
  return count;
}

}  // namespace lethe::ops
