#include "kernels/cuda/matmul_candidates.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>

#include "kernels/cuda/matmul_thin.h"

namespace lethe::kernels::cuda {

void check_tuning(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string("tuning products: ") + what + ": " + cudaGetErrorString(status));
}

double Candidate::median() const {
  std::vector<double> sorted = microseconds;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

Candidates candidates_of(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan) {
  constexpr int kOffers = 32;
  auto offered = offers(handle, plan, plan.product.workspace, kOffers);
  if (!offered.empty()) {
    const auto used = offered.begin() + static_cast<std::ptrdiff_t>(untuned(offered));
    std::rotate(offered.begin(), used, used + 1);
  }
  // Asked without a workspace, the library has room on its list for others.
  const auto unsplit = offers(handle, plan, 0, kOffers);
  offered.insert(offered.end(), unsplit.begin(), unsplit.end());
  Candidates made;
  std::set<MatmulAlgorithm> seen;
  const auto add = [&](const MatmulAlgorithm& algorithm) {
    if (!seen.insert(algorithm).second) return;
    made.push_back(std::make_unique<Candidate>());
    made.back()->algorithm = algorithm;
  };
  for (const auto& offer : offered) add(encoded(offer.algo));
  if (made.empty()) return made;  // what is used untuned is the library's
  for (const OwnAlgorithm& own : own_offers(plan.product)) add(encoded(own));
  return made;
}

void choose_finalists(const Candidates& candidates) {
  constexpr double kClose = 1.08;
  double best = INFINITY;
  for (const auto& c : candidates) {
    if (c->runs) best = std::min(best, c->median());
  }
  for (const auto& c : candidates) {
    c->in_finals = c->runs && (c == candidates.front() || c->median() <= best * kClose);
  }
}

void choose_winner(const Candidates& candidates, MatmulLibrary::Plan& plan, MatmulTuning& result) {
  constexpr double kScatter = 0.995;
  const size_t none = candidates.size();
  size_t best = none;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = *candidates[i];
    if (!c.runs) continue;
    ++result.candidates;
    if (c.in_finals && (best == none || c.median() < candidates[best]->median())) best = i;
  }
  if (best == none) {
    result.not_timed = "no algorithm runs with the same bits each time";
    return;
  }
  const Candidate& first = *candidates.front();
  result.first_us = first.runs ? first.median() : 0;
  if (first.runs && candidates[best]->median() > kScatter * result.first_us) best = 0;
  result.best_us = candidates[best]->median();
  result.which = static_cast<int>(best);
  result.choice = {candidates[best]->algorithm, result.best_us};
  plan.algorithm = candidates[best]->algorithm;
  plan.has_algorithm = plan.is_tuned = true;
  plan.microseconds = result.best_us;
}

}  // namespace lethe::kernels::cuda
