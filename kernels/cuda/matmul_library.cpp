#include "kernels/cuda/matmul_plan.h"

namespace lethe::kernels::cuda {

MatmulLibrary::Plan& MatmulLibrary::Parts::at(const MatmulProduct& product) {
  const auto [at, is_new] = plans.try_emplace(product, product);
  Plan& plan = at->second;
  if (!is_new) return plan;
  if (const auto kept = learned.find(product); kept != learned.end()) {
    if (is_fit(handle, plan, kept->second.algorithm)) {
      plan.algorithm = kept->second.algorithm;
      plan.microseconds = kept->second.microseconds;
      plan.has_algorithm = plan.is_tuned = true;
      return plan;
    }
  }
  constexpr int kOffers = 16;
  const auto offered = offers(handle, plan, product.workspace, kOffers);
  plan.has_algorithm = !offered.empty();
  if (plan.has_algorithm) plan.algorithm = encoded(offered[untuned(offered)].algo);
  return plan;
}

MatmulLibrary::MatmulLibrary() : parts_(std::make_unique<Parts>()) {
  check_cublas(cublasLtCreate(&parts_->handle), "start");
}

MatmulLibrary::~MatmulLibrary() {
  parts_->plans.clear();
  if (parts_->handle) cublasLtDestroy(parts_->handle);
}

int64_t MatmulLibrary::version() {
  return static_cast<int64_t>(cublasLtGetVersion());
}

void MatmulLibrary::learn(const MatmulChoices& choices) {
  for (const auto& [product, choice] : choices) parts_->learned.insert_or_assign(product, choice);
}

const MatmulLibrary::Plan* MatmulLibrary::plan(const MatmulProduct& product) {
  if (product.m == 0 || product.n == 0 || product.k == 0) return nullptr;
  const Plan& plan = parts_->at(product);
  return plan.has_algorithm ? &plan : nullptr;
}

const MatmulLibrary::Plan* MatmulLibrary::prepare(const MatmulProduct& product) {
  const Plan* const found = plan(product);
  if (found) ++parts_->at(product).uses;
  return found;
}

void MatmulLibrary::run(const Plan& plan, double alpha, const void* a, const void* b, void* c,
                        void* workspace, Stream stream) const {
  check_cublas(plan.queue(parts_->handle, plan.algorithm, alpha, a, b, c, workspace, stream), "product");
}

MatmulLibrary::Count MatmulLibrary::count() const {
  Count count;
  for (const auto& [product, plan] : parts_->plans) {
    if (plan.uses == 0) continue;
    ++count.products;
    if (plan.is_tuned) ++count.tuned;
  }
  return count;
}

}  // namespace lethe::kernels::cuda
