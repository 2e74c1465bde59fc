#include <algorithm>
#include <chrono>

#include "kernels/cuda/matmul_trial.h"

namespace lethe::kernels::cuda {

std::vector<MatmulTuning> MatmulLibrary::tune(const MatmulTuneOptions& options, Stream stream) {
  std::vector<Plan*> plans;
  for (auto& [product, plan] : parts_->plans) {
    if (plan.uses > 0) plans.push_back(&plan);
  }
  std::ranges::sort(plans, [](const Plan* a, const Plan* b) {
    const double left = a->product.flops() * static_cast<double>(a->uses),
                 right = b->product.flops() * static_cast<double>(b->uses);
    return left != right ? left > right : a->product < b->product;
  });
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Trial trial(parts_->handle, static_cast<cudaStream_t>(stream));
  std::vector<MatmulTuning> all;
  for (Plan* const plan : plans) {
    MatmulTuning result{.product = plan->product, .uses = plan->uses};
    if (plan->is_tuned && !options.again) {
      result.not_timed = "kept";
      result.best_us = plan->microseconds;
    } else if (seconds() > options.seconds) {
      result.not_timed = "no time was left";
    } else {
      result = trial.time(*plan);
    }
    all.push_back(result);
    if (options.progress) options.progress(result, all.size(), plans.size());
  }
  return all;
}

}  // namespace lethe::kernels::cuda
