// y[k] = deviation * normal(seed, stream, k)   or   bound * (2 * uniform(seed, stream, k) - 1).
#include "engine/ops/random.h"

#include "engine/ops/same_shape.h"

namespace lethe::ops {
namespace {

enum class Distribution { normal, uniform };

class Random final : public Op {
 public:
  Random(Distribution distribution, double scale, kernels::RandomStream random)
      : distribution_(distribution), scale_(scale), random_(random) {}
  std::string_view name() const override {
    return distribution_ == Distribution::normal ? "normal" : "uniform";
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      const auto y = launch.out[0].as<T>();
      if (distribution_ == Distribution::normal) return kernels::cpu::normal<T>(y, scale_, random_);
      kernels::cpu::uniform<T>(y, scale_, random_);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      const auto y = launch.out[0].as<T>();
      if (distribution_ == Distribution::normal) {
        return kernels::cuda::normal<T>(y, scale_, random_, launch.stream);
      }
      kernels::cuda::uniform<T>(y, scale_, random_, launch.stream);
    });
  }
#endif

 private:
  Distribution distribution_;
  double scale_;
  kernels::RandomStream random_;
};

void record(Tape& tape, Distribution distribution, Var y, double scale, kernels::RandomStream random,
            const std::string& name) {
  require_floating(tape, y, name);
  tape.append(std::make_shared<Random>(distribution, scale, random), {}, {{y}}, name);
}

}  // namespace

void normal(Tape& tape, Var y, double deviation, kernels::RandomStream random, const std::string& name) {
  record(tape, Distribution::normal, y, deviation, random, name);
}

void uniform(Tape& tape, Var y, double bound, kernels::RandomStream random, const std::string& name) {
  record(tape, Distribution::uniform, y, bound, random, name);
}

}  // namespace lethe::ops
