// y = keep * x / (1 - p);  dx = keep * dy / (1 - p), the same function.
#include "engine/ops/dropout.h"

#include <fmt/format.h>

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/dropout.h"

namespace lethe::ops {
namespace {

// Inputs x (or dy), seed, step, first row; output y (or dx).
class Dropout final : public Op {
 public:
  Dropout(double p, uint64_t stream) : p_(p), stream_(stream) {}
  std::string_view name() const override { return "dropout"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var dy = builder.gradient();
    const Output dx = builder.target(0);
    builder.tape().append(std::make_shared<Dropout>(p_, stream_),
                          {dy, node.inputs[1], node.inputs[2], node.inputs[3]}, {dx});
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::dropout<T>(launch.in[0].as<const T>(), p_, key_of(launch), launch.out[0].as<T>(),
                               launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::dropout<T>(launch.in[0].as<const T>(), p_, key_of(launch), launch.out[0].as<T>(),
                                launch.write(0), launch.stream);
    });
  }
#endif

 private:
  kernels::cpu::DropoutKey key_of(const Launch& launch) const {
    return {.seed = launch.in[1].as<const int64_t>().data,
            .step = launch.in[2].as<const int64_t>().data,
            .first_row = launch.in[3].as<const int64_t>().data,
            .stream = stream_};
  }

  double p_;
  uint64_t stream_;
};

}  // namespace

void require_random(const Tape& tape, const StepRandom& random, const std::string& name) {
  for (const Var v : {random.seed, random.step, random.first_row}) {
    const TensorInfo& info = tape.info(v);
    if (info.dtype != DType::i64 || info.elements() != 1) {
      throw ShapeError(tape.path(name), fmt::format("{} {} of {} must be one int64", info.path,
                                                    text_of(info.shape), name_of(info.dtype)));
    }
  }
}

Var dropout(Tape& tape, Var x, double p, const StepRandom& random, uint64_t stream, const std::string& name) {
  if (!(p >= 0 && p < 1)) throw ConfigError(tape.path(name), fmt::format("dropout {} is not in [0, 1)", p));
  require_floating(tape, x, name);
  require_random(tape, random, name);
  if (p == 0) return x;
  const TensorInfo in = tape.info(x);
  const Var y = tape.tensor(in.shape, in.dtype, name);
  tape.append(std::make_shared<Dropout>(p, stream), {x, random.seed, random.step, random.first_row}, {{y}},
              name)
      .in_place = {0, 0};
  return y;
}

}  // namespace lethe::ops
