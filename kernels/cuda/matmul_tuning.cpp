// Times what cuBLASLt offers for a product. One candidate after the other would measure how the clock and the
// power drift, so they take turns; each finds the second-level cache full of something else, as a step's
// kernels do; and the median of its turns counts.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "kernels/cuda/matmul_plan.h"
#include "kernels/cuda/matmul_trial.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kOffers = 32;       // asked for, with a workspace and again without
constexpr int kScreening = 3;     // rounds in which all take part,
constexpr int kFinals = 8;        // and further ones
constexpr double kClose = 1.08;   // for those within this factor of the fastest
constexpr double kNoise = 0.995;  // what is not faster than this share of the untuned time is no gain

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string("tuning products: ") + what + ": " + cudaGetErrorString(status));
}

// Device memory that grows.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { cudaFree(data_); }

  // False where the device has not that much; what it held is lost either way.
  bool reserve(int64_t bytes) {
    if (bytes <= bytes_) return true;
    cudaFree(data_);
    data_ = nullptr;
    bytes_ = 0;
    if (cudaMalloc(&data_, static_cast<size_t>(bytes)) != cudaSuccess) {
      cudaGetLastError();  // having too little is no error of a later call
      data_ = nullptr;
      return false;
    }
    bytes_ = bytes;
    return true;
  }
  // An address that is aligned to `alignment` bytes and, below 256, to no more.
  void* at(int64_t alignment) const {
    return static_cast<unsigned char*>(data_) + (alignment < kAligned ? alignment : 0);
  }
  static constexpr int64_t kAligned = 256;

 private:
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

struct Event {
  Event() { check(cudaEventCreate(&event), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t event = nullptr;
};

struct Candidate {
  cublasLtMatmulAlgo_t algorithm{};
  bool runs = true, in_finals = true;
  std::vector<double> microseconds;
  uint64_t bits = 0;  // of its first result
  Event before, after;

  double median() const {
    std::vector<double> sorted = microseconds;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::ranges::nth_element(sorted, middle);
    return *middle;
  }
};
using Candidates = std::vector<std::unique_ptr<Candidate>>;

// Each once, the one that is used untuned first.
Candidates candidates_of(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan) {
  auto offered = offers(handle, plan, plan.product.workspace, kOffers);
  if (!offered.empty()) {
    const auto used = offered.begin() + static_cast<std::ptrdiff_t>(untuned(offered));
    std::rotate(offered.begin(), used, used + 1);
  }
  const auto unsplit = offers(handle, plan, 0, kOffers);
  offered.insert(offered.end(), unsplit.begin(), unsplit.end());
  Candidates made;
  std::set<MatmulAlgorithm> seen;
  for (const auto& offer : offered) {
    if (!seen.insert(encoded(offer.algo)).second) continue;
    made.push_back(std::make_unique<Candidate>());
    made.back()->algorithm = offer.algo;
  }
  return made;
}

double fastest(const Candidates& candidates) {
  double best = INFINITY;
  for (const auto& c : candidates) {
    if (c->runs) best = std::min(best, c->median());
  }
  return best;
}

class Trial {
 public:
  Trial(cublasLtHandle_t handle, cudaStream_t stream) : handle_(handle), stream_(stream) {
    int device = 0, cache = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), "the size of its cache");
    flush_bytes_ = 4 * static_cast<int64_t>(std::max(cache, 1 << 20));
  }

  // Picks the fastest for the plan.
  MatmulTuning time(MatmulLibrary::Plan& plan) {
    MatmulTuning found{.product = plan.product, .uses = plan.uses};
    Candidates candidates = candidates_of(handle_, plan);
    if (candidates.empty()) {
      found.not_timed = "the library offers no algorithm";
      return found;
    }
    if (!reserve(plan.product, candidates.size())) {
      found.not_timed = "its operands do not fit the free memory";
      return found;
    }
    fill(plan.product);
    round(plan, candidates, 0, false);  // loads the kernels
    for (int r = 1; r <= kScreening; ++r) round(plan, candidates, static_cast<size_t>(r), true);
    const double limit = fastest(candidates) * kClose;
    for (auto& c : candidates) c->in_finals = c->runs && (c == candidates.front() || c->median() <= limit);
    for (int r = 1; r <= kFinals; ++r) round(plan, candidates, static_cast<size_t>(r), true);
    conclude(plan, candidates, found);
    return found;
  }

 private:
  bool reserve(const MatmulProduct& p, size_t candidates) {
    bool fits = flush_.reserve(flush_bytes_) &&
                sums_.reserve(static_cast<int64_t>(candidates * sizeof(uint64_t))) &&
                workspace_.reserve(p.workspace);
    for (size_t i = 0; i < 3; ++i) fits = fits && operands_[i].reserve(p.bytes(i) + Scratch::kAligned);
    return fits;
  }

  void* operand(const MatmulProduct& p, size_t i) const { return operands_[i].at(p.alignments[i]); }

  // Activations of variance 1 and weights that keep it.
  void fill(const MatmulProduct& p) {
    const double small = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(p.k, 1)));
    for (size_t i = 0; i < 3; ++i) fill(p, i, i == 1 ? small : 1);
  }
  void fill(const MatmulProduct& p, size_t i, double deviation) {
    fill_random(p.types[i], operand(p, i), p.bytes(i) / size_of(p.types[i]), deviation, i + 1, stream_);
    check(cudaGetLastError(), "random operands");
  }

  // Each candidate once; the one at `first` begins.
  void round(const MatmulLibrary::Plan& plan, Candidates& candidates, size_t first, bool timed) {
    const size_t n = candidates.size();
    auto* const sums = static_cast<uint64_t*>(sums_.at(Scratch::kAligned));
    check(cudaMemsetAsync(sums, 0, n * sizeof(uint64_t), stream_), "cudaMemset");
    for (size_t i = 0; i < n; ++i) {
      const size_t at = (first + i) % n;
      Candidate& c = *candidates[at];
      if (c.runs && c.in_finals) c.runs = queue(plan, c, sums + at);
    }
    std::vector<uint64_t> bits(n);
    check(cudaMemcpyAsync(bits.data(), sums, n * sizeof(uint64_t), cudaMemcpyDeviceToHost, stream_),
          "results");
    check(cudaStreamSynchronize(stream_), "a candidate");
    for (size_t i = 0; i < n; ++i) {
      Candidate& c = *candidates[i];
      if (!c.runs || !c.in_finals) continue;
      if (!timed) {
        c.bits = bits[i];
        continue;
      }
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, c.before.event, c.after.event), "cudaEventElapsedTime");
      c.microseconds.push_back(1000 * static_cast<double>(milliseconds));
      if (bits[i] != c.bits) c.runs = false;  // other bits from run to run
    }
  }

  // False where the library refuses the candidate.
  bool queue(const MatmulLibrary::Plan& plan, const Candidate& c, uint64_t* sum) {
    const MatmulProduct& p = plan.product;
    if (p.write == Write::accumulate) fill(p, 2, 1);
    check(cudaMemsetAsync(flush_.at(Scratch::kAligned), 1, static_cast<size_t>(flush_bytes_), stream_),
          "cudaMemset");
    check(cudaEventRecord(c.before.event, stream_), "cudaEventRecord");
    const cublasStatus_t status =
        plan.queue(handle_, c.algorithm, 1, operand(p, 0), operand(p, 1), operand(p, 2),
                   p.workspace > 0 ? workspace_.at(Scratch::kAligned) : nullptr, stream_);
    check(cudaEventRecord(c.after.event, stream_), "cudaEventRecord");
    if (status != CUBLAS_STATUS_SUCCESS) {
      cudaGetLastError();  // a refused launch is no error of a later call
      return false;
    }
    add_fingerprint(operand(p, 2), p.bytes(2), sum, stream_);
    check(cudaGetLastError(), "a candidate's result");
    return true;
  }

  static void conclude(MatmulLibrary::Plan& plan, const Candidates& candidates, MatmulTuning& found) {
    const size_t none = candidates.size();
    size_t best = none;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const Candidate& c = *candidates[i];
      if (!c.runs) continue;
      ++found.candidates;
      if (c.in_finals && (best == none || c.median() < candidates[best]->median())) best = i;
    }
    if (best == none) {
      found.not_timed = "no algorithm that the library offers runs with the same bits each time";
      return;
    }
    const Candidate& first = *candidates.front();
    found.first_us = first.runs ? first.median() : 0;
    if (first.runs && candidates[best]->median() > kNoise * found.first_us) best = 0;
    found.best_us = candidates[best]->median();
    found.which = static_cast<int>(best);
    found.choice = {encoded(candidates[best]->algorithm), found.best_us};
    plan.algorithm = candidates[best]->algorithm;
    plan.has_algorithm = plan.is_tuned = true;
    plan.microseconds = found.best_us;
  }

  cublasLtHandle_t handle_;
  cudaStream_t stream_;
  int64_t flush_bytes_ = 0;
  Scratch operands_[3], workspace_, flush_, sums_;
};

}  // namespace

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
    MatmulTuning found{.product = plan->product, .uses = plan->uses};
    if (plan->is_tuned && !options.again) {
      found.not_timed = "kept";
      found.best_us = plan->microseconds;
    } else if (seconds() > options.seconds) {
      found.not_timed = "no time was left";
    } else {
      found = trial.time(*plan);
    }
    all.push_back(found);
    if (options.progress) options.progress(found, all.size(), plans.size());
  }
  return all;
}

}  // namespace lethe::kernels::cuda
