// y[i] = value.
#include "engine/ops/fill.h"

#include "engine/ops/same_shape.h"
#include "kernels/fill.h"

namespace lethe::ops {
namespace {

class Fill final : public Op {
 public:
  explicit Fill(double value) : value_(value) {}
  std::string_view name() const override { return "fill"; }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      kernels::cpu::fill<T>(launch.out[0].as<T>(), static_cast<compute_t<T>>(value_));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      kernels::cuda::fill<T>(launch.out[0].as<T>(), static_cast<compute_t<T>>(value_), launch.stream);
    });
  }
#endif

 private:
  double value_;
};

}  // namespace

void fill(Tape& tape, Var y, double value) {
  require_floating(tape, y, "fill");
  tape.append(std::make_shared<Fill>(value), {}, {{y}}, "fill");
}

}  // namespace lethe::ops
