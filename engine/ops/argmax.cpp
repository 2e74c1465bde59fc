// y_i = the first j with x_ij = max_k x_ik; a place has no gradient.
#include "engine/ops/argmax.h"

#include "kernels/argmax.h"

namespace lethe::ops {
namespace {

class Argmax final : public Op {
 public:
  std::string_view name() const override { return "argmax"; }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::argmax<T>(launch.in[0].as<const T>(), launch.out[0].as<int32_t>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::argmax<T>(launch.in[0].as<const T>(), launch.out[0].as<int32_t>().data, launch.stream);
    });
  }
#endif
};

}  // namespace

Var argmax(Tape& tape, Var x, const std::string& name) {
  const TensorInfo info = tape.info(x);
  if (!is_float(info.dtype) || info.shape.size() != 2 || info.width() == 0) {
    throw ShapeError(tape.path(name), "no place is the largest in " + text_of(info.shape) + " of " +
                                          std::string(name_of(info.dtype)));
  }
  const Var y = tape.tensor({info.rows()}, DType::i32, name);
  tape.append(std::make_shared<Argmax>(), {x}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
