// Which pairs the GPU's attention drops, seen in what comes out: queries and keys are zero, so that all
// visible keys weigh alike, and values (or gradients of the output) are columns of the unit matrix.
#include "kernels/attention_dropout.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

using kernels::AttentionDropout;
using kernels::AttentionMask;
using kernels::AttentionShape;
using kernels::Rows;

template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : count_(values.size()) {
    EXPECT_EQ(cudaMalloc(&data_, count_ * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }

  std::vector<T> get() const {
    std::vector<T> values(count_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }
  T* data() const { return static_cast<T*>(data_); }

 private:
  size_t count_;
  void* data_ = nullptr;
};

// Two rows of 300 tokens; documents begin where no tile does.
const AttentionShape kShape{.batch = 2, .tokens = 300, .heads = 3, .kv_heads = 3, .head_dim = 64};
constexpr int64_t kWidth = 3 * 64;
constexpr double kRate = 0.3;

std::vector<int32_t> starts() {
  std::vector<int32_t> made;
  for (int32_t i = 0; i < 600; ++i) {
    const int32_t t = i % 300;
    made.push_back(i < 300 ? (t < 37 ? 0 : t < 171 ? 37 : 171) : (t < 5 ? 0 : 5));
  }
  return made;
}

// 1 at [row r of a sequence, head h, column r - base].
template <class T>
std::vector<T> unit_columns(int64_t base) {
  std::vector<T> made(static_cast<size_t>(600 * kWidth), static_cast<T>(0.0f));
  for (int64_t r = 0; r < 600; ++r) {
    const int64_t c = r % 300 - base;
    if (c < 0 || c >= 64) continue;
    for (int64_t h = 0; h < 3; ++h) made[static_cast<size_t>(r * kWidth + h * 64 + c)] = static_cast<T>(1.0f);
  }
  return made;
}

// Of one base: out at [query, head, key - base], and the gradient of v at [key, head, query - base].
template <class T>
struct Seen {
  std::vector<T> out, dv;
};

template <class T>
Seen<T> attended(int64_t base) {
  using C = compute_t<T>;
  const std::vector<T> zeros(static_cast<size_t>(600 * kWidth), static_cast<T>(0.0f));
  const OnDevice<T> q(zeros), k(zeros), unit(unit_columns<T>(base)), out(zeros), dv(zeros);
  const OnDevice<C> lse(std::vector<C>(600 * 3)), delta(std::vector<C>(600 * 3));
  const OnDevice<int32_t> begins(starts());
  const OnDevice<int64_t> seed({-3}), step({1 << 20}), first_row({1200});
  const AttentionDropout dropout{.rate = kRate, .key = {seed.data(), step.data(), first_row.data(), 1234567}};
  const auto in = [](const OnDevice<T>& x) { return Rows<const T>{x.data(), 600, kWidth, kWidth}; };
  const auto to = [](const OnDevice<T>& x) { return Rows<T>{x.data(), 600, kWidth, kWidth}; };
  namespace cuda = kernels::cuda;
  cuda::attention<T>(kShape, 0.125, in(q), in(k), in(unit), begins.data(), to(out), lse.data(), {}, &dropout);
  cuda::attention_backward<T>(kShape, 0.125, in(unit), in(q), in(k), in(unit), begins.data(), in(out),
                              lse.data(), {}, {}, {to(dv)}, delta.data(), {}, &dropout);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  return {out.get(), dv.get()};
}

template <class T>
void expect_drops_what_the_cpu_drops() {
  const int64_t seed = -3, step = 1 << 20, first_row = 1200;
  const AttentionDropout dropout{.rate = kRate, .key = {&seed, &step, &first_row, 1234567}};
  const std::vector<int32_t> begins = starts();
  const auto at = [](const std::vector<T>& x, int64_t row, int64_t h, int64_t c) {
    return static_cast<double>(static_cast<compute_t<T>>(x[static_cast<size_t>(row * kWidth + h * 64 + c)]));
  };
  int64_t dropped = 0, wrong = 0;
  for (int64_t base = 0; base < 300; base += 64) {
    const Seen<T> seen = attended<T>(base);
    for (int64_t n = 0; n < 6; ++n) {
      const int64_t b = n / 3, h = n % 3;
      const auto mask = AttentionMask::of(kShape, dropout.key, dropout.threshold(), b, h);
      const auto weight = [&](int64_t i, int64_t j) {
        const int64_t first = begins[static_cast<size_t>(300 * b + i)];
        if (j < first || j > i) return 0.0;
        const bool kept = mask.keeps(mask.words(i, j).word[2 * (i / 8 % 2) + j / 8 % 2]);
        dropped += kept ? 0 : 1;
        return kept ? 1 / (1 - kRate) / static_cast<double>(i + 1 - first) : 0.0;
      };
      // A weight is some roundings of 2^-24, or in bf16 two of 2^-9, from the exact one; a dropped one is 0.
      const auto differs = [](double got, double expected) {
        const double unit = std::is_same_v<T, bf16> ? 1.01 * 0x1p-8 : 0x1p-20;
        return !(std::abs(got - expected) <= unit * expected);
      };
      for (int64_t i = 0; i < 300; ++i) {
        for (int64_t c = 0; c < std::min<int64_t>(64, 300 - base); ++c) {
          wrong += differs(at(seen.out, 300 * b + i, h, c), weight(i, base + c)) ? 1 : 0;
          wrong += differs(at(seen.dv, 300 * b + i, h, c), weight(base + c, i)) ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(dropped, 10000);
}

TEST(CudaAttentionDropout, DropsWhatTheCpuDrops) {
  LETHE_NEEDS_GPU();
  expect_drops_what_the_cpu_drops<double>();
  expect_drops_what_the_cpu_drops<float>();
  expect_drops_what_the_cpu_drops<bf16>();
}

}  // namespace
}  // namespace lethe::test
