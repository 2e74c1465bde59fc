#include "kernels/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "engine/rng.h"
#include "kernels/update_rule.h"
#include "tests/kernels/threads.h"

namespace lethe::kernels {
namespace {

// A parameter with its state; the master is of the kind that is asked for.
template <class P, class M, Truth kTruth = Truth::parameter>
struct Tensor {
  using Master = typename UpdateTensors<P, P, M, kTruth>::Master;

  explicit Tensor(const std::vector<double>& start) : m(start.size()), v(start.size()), master(start.size()) {
    for (size_t i = 0; i < start.size(); ++i) {
      p.push_back(static_cast<P>(static_cast<compute_t<P>>(start[i])));
      if constexpr (kTruth == Truth::copy) master[i] = static_cast<M>(static_cast<compute_t<P>>(p[i]));
    }
  }
  template <class G>
  UpdateTensors<P, G, M, kTruth> with(const std::vector<G>& gradient) {
    const auto n = static_cast<int64_t>(p.size());
    return {.parameter = {p.data(), 1, n, n},
            .master = {master.data(), 1, n, n},
            .gradient = {gradient.data(), 1, n, n},
            .m = {m.data(), 1, n, n},
            .v = {v.data(), 1, n, n}};
  }
  // The value the updates work with.
  double truth(size_t i) const {
    if constexpr (kTruth == Truth::remainder) return static_cast<double>(joined({p[i].bits, master[i]}));
    if constexpr (kTruth == Truth::copy) return static_cast<double>(master[i]);
    return static_cast<double>(static_cast<compute_t<P>>(p[i]));
  }
  std::vector<P> p;
  std::vector<M> m, v;
  std::vector<Master> master;
};

struct Scalars {
  double rate = 0.1;
  int64_t step = 1;
  double scale = 1;
  int64_t seed = 5;
  UpdateScalars pointers() const { return {&rate, &step, &scale, &seed}; }
};

// One group.
using Groups = std::vector<UpdateConstants>;

std::vector<double> normals(size_t count, uint64_t stream) {
  std::vector<double> x(count);
  const Rng rng(1, stream);
  for (size_t i = 0; i < count; ++i) x[i] = rng.normal(i);
  return x;
}

TEST(AdamW, TakesTheFirstStepWorkedOutByHand) {
  // p = 1, g = 0.5, lr = 0.1, decay 0.01, betas (0.9, 0.99), eps 0:
  //   m = 0.05, v = 0.0025; m / (1 - 0.9) = 0.5, v / (1 - 0.99) = 0.25; p = 1 (1 - 0.001) - 0.1 * 0.5 / 0.5 =
  //   0.899.
  Tensor<double, double> t({1.0});
  int64_t moved = 7;
  cpu::adamw(t.with(std::vector<double>{0.5}),
             Groups{{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 0, .weight_decay = 0.01}}, Scalars{}.pointers(),
             &moved, Write::overwrite);
  EXPECT_NEAR(t.p[0], 0.899, 1e-15);
  EXPECT_NEAR(t.m[0], 0.05, 1e-16);
  EXPECT_NEAR(t.v[0], 0.0025, 1e-17);
  EXPECT_EQ(moved, 1);
}

TEST(AdamW, DecaysByTheScheduleAloneWhereTheDecayIsDecoupled) {
  // Half the peak rate: decay 0.5 * 0.01, whatever the rate's size. A zero gradient moves nothing else.
  Tensor<double, double> t({2.0});
  int64_t moved = 0;
  cpu::adamw(t.with(std::vector<double>{0.0}),
             Groups{{.weight_decay = 0.01, .decoupled_decay = true, .peak_learning_rate = 0.2}},
             Scalars{}.pointers(), &moved, Write::overwrite);
  EXPECT_NEAR(t.p[0], 2 * (1 - 0.005), 1e-15);
}

TEST(Lion, TakesTwoStepsWorkedOutByHand) {
  // DecoupledLionW, betas (0.9, 0.99), lr 0.1 of a peak of 0.1, decay 0.01, p = (1, 1, 1):
  // step 1, g = (0.5, -2, 0): p = 0.99 - 0.1 sign(0.1 g) = (0.89, 1.09, 0.99); m = 0.01 g = (0.005, -0.02,
  // 0). step 2, g = (-0.01, 1, 0), lr 0.05, so decay 0.005: 0.9 m + 0.1 g = (0.0035, 0.082, 0):
  //   p = 0.995 p - (0.05, 0.05, 0); m = 0.99 m + 0.01 g = (0.00485, -0.0098, 0).
  Tensor<double, double> t({1.0, 1.0, 1.0});
  const Groups constants{{.beta1 = 0.9,
                          .beta2 = 0.99,
                          .weight_decay = 0.01,
                          .decoupled_decay = true,
                          .peak_learning_rate = 0.1}};
  int64_t moved = 0;
  cpu::lion(t.with(std::vector<double>{0.5, -2, 0}), constants, Scalars{}.pointers(), &moved,
            Write::overwrite);
  EXPECT_NEAR(t.p[0], 0.89, 1e-15);
  EXPECT_NEAR(t.p[1], 1.09, 1e-15);
  EXPECT_NEAR(t.p[2], 0.99, 1e-15);
  cpu::lion(t.with(std::vector<double>{-0.01, 1, 0}), constants, Scalars{.rate = 0.05, .step = 2}.pointers(),
            &moved, Write::accumulate);
  EXPECT_NEAR(t.p[0], 0.89 * 0.995 - 0.05, 1e-15);
  EXPECT_NEAR(t.p[1], 1.09 * 0.995 - 0.05, 1e-15);
  EXPECT_NEAR(t.p[2], 0.99 * 0.995, 1e-15);
  EXPECT_NEAR(t.m[0], 0.00485, 1e-17);
  EXPECT_NEAR(t.m[1], -0.0098, 1e-17);
  EXPECT_EQ(moved, 6);
}

// Ten steps beside a plain loop in double. One float step errs by a few units of 2^-24 relative to p and to
// the step of size lr; ten of them stay below 1e-5.
TEST(AdamW, FollowsAPlainLoopOverManySteps) {
  const size_t n = 1025;
  const double b1 = 0.9, b2 = 0.95, eps = 1e-8, decay = 0.1;
  std::vector<double> p = normals(n, 100), m(n), v(n);
  Tensor<double, double> wide(p);
  Tensor<float, float> narrow(p);
  for (int64_t step = 1; step <= 10; ++step) {
    const Scalars scalars{.rate = 0.01 * static_cast<double>(step), .step = step, .scale = 0.5};
    const std::vector<double> g = normals(n, static_cast<uint64_t>(step));
    for (size_t i = 0; i < n; ++i) {
      const double scaled = g[i] * 0.5;
      p[i] *= 1 - scalars.rate * decay;
      m[i] = b1 * m[i] + (1 - b1) * scaled;
      v[i] = b2 * v[i] + (1 - b2) * scaled * scaled;
      const double t = static_cast<double>(step);
      const double m_hat = m[i] / (1 - std::pow(b1, t)), v_hat = v[i] / (1 - std::pow(b2, t));
      p[i] -= scalars.rate * m_hat / (std::sqrt(v_hat) + eps);
    }
    const Groups constants{{.beta1 = b1, .beta2 = b2, .epsilon = eps, .weight_decay = decay}};
    int64_t moved = 0;
    cpu::adamw(wide.with(g), constants, scalars.pointers(), &moved, Write::overwrite);
    cpu::adamw(narrow.with(std::vector<float>(g.begin(), g.end())), constants, scalars.pointers(), &moved,
               Write::overwrite);
  }
  for (size_t i = 0; i < n; ++i) {
    EXPECT_NEAR(wide.p[i], p[i], 1e-13);
    EXPECT_NEAR(static_cast<double>(narrow.p[i]), p[i], 1e-5);
  }
}

template <class Kept>
void adds_up_small_steps(Kept t) {
  // bf16 knows 1 and 1 - 2^-8 but nothing between. Steps of 1e-4: the parameter must stay at 1 for 19 steps
  // (half of 2^-8 is 0.00195), and move then, as the float truth does.
  int64_t moved_at = 0;
  for (int64_t step = 1; step <= 25; ++step) {
    int64_t moved = 0;
    cpu::adamw(t.with(std::vector<float>{1.0f}), Groups{{.epsilon = 1e-12}},
               Scalars{.rate = 1e-4, .step = step}.pointers(), &moved, Write::overwrite);
    if (moved && !moved_at) moved_at = step;
  }
  EXPECT_NEAR(t.truth(0), 1 - 25e-4, 1e-6);
  EXPECT_EQ(moved_at, 20);
  EXPECT_EQ(static_cast<float>(t.p[0]), 1 - 0x1p-8f);
}

TEST(AdamW, AddsUpStepsFarBelowTheParametersResolution) {
  adds_up_small_steps(Tensor<bf16, float, Truth::copy>({1.0}));
  adds_up_small_steps(Tensor<bf16, float, Truth::remainder>({1.0}));
}

// A bf16 and its remainder are the float, so training with them is training in float, bit for bit.
TEST(Updates, WithASplitMasterAreThoseOfAFloat) {
  const size_t n = 1025;
  std::vector<double> start = normals(n, 1);
  for (double& x : start) x = static_cast<double>(static_cast<float>(bf16(static_cast<float>(x))));
  for (const bool is_lion : {false, true}) {
    Tensor<bf16, float, Truth::remainder> split_one(start);
    Tensor<bf16, float, Truth::copy> copied(start);
    Tensor<float, float> wide(start);
    for (int64_t step = 1; step <= 20; ++step) {
      std::vector<float> g;
      for (const double x : normals(n, static_cast<uint64_t>(step) + 1)) g.push_back(static_cast<float>(x));
      const Scalars scalars{.rate = 1e-3, .step = step};
      int64_t moved = 0;
      const Groups groups{{.weight_decay = 0.1}};
      const auto run = [&](auto& t) {
        if (is_lion) return cpu::lion(t.with(g), groups, scalars.pointers(), &moved, Write::overwrite);
        cpu::adamw(t.with(g), groups, scalars.pointers(), &moved, Write::overwrite);
      };
      run(split_one);
      run(copied);
      run(wide);
    }
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(split_one.truth(i), wide.truth(i));
      EXPECT_EQ(copied.truth(i), wide.truth(i));
      EXPECT_EQ(split_one.m[i], wide.m[i]);
      EXPECT_EQ(copied.p[i].bits, bf16(wide.p[i]).bits);
    }
  }
}

// Every upper half with the lower halves around which rounding turns, both signs: exponents of denormals,
// carries into the exponent and up to infinity's neighbour.
TEST(SplitMaster, IsExactAndItsParameterTheNearest) {
  const uint32_t lows[] = {0,      1,      2,      0x00ff, 0x1234, 0x7ffe, 0x7fff,
                           0x8000, 0x8001, 0x8002, 0xc000, 0xfffe, 0xffff};
  for (uint32_t high = 0; high < 0x10000; ++high) {
    if ((high & 0x7f80u) == 0x7f80u) continue;  // infinities and what is no number
    for (const uint32_t low : lows) {
      const uint32_t bits = high << 16 | low;
      const float w = float_of(bits);
      const SplitFloat parts = split(w);
      ASSERT_EQ(bits_of(joined(parts)), bits) << std::hex << bits;
      // Ties go away from zero; everything else as rounding to nearest, ties to even, has it.
      const uint32_t nearest = low == 0x8000 ? high + 1 : bf16(w).bits;
      ASSERT_EQ(parts.nearest, nearest) << std::hex << bits;
    }
  }
  for (uint32_t low = 0; low < 0x10000; ++low) {
    for (const uint32_t high : {0x0000u, 0x3f80u, 0x3fffu, 0x7f7fu, 0x8000u, 0xbf81u}) {
      const uint32_t bits = high << 16 | low;
      ASSERT_EQ(bits_of(joined(split(float_of(bits)))), bits) << std::hex << bits;
    }
  }
}

// Each of n draws is one of two neighbours, one unit u apart, so the mean's deviation is at most u / (2
// sqrt(n)); five of those happen by chance once in two million.
TEST(RandomRounding, IsUnbiasedAndLeavesWhatItCanHold) {
  constexpr int kDraws = 1 << 16;
  for (const float value : {1.0f + 0x1p-9f, -1.0f - 0x1p-20f, 3.0e-5f, 1e-40f, -123.456f, 0.0f, 1.5f}) {
    const float below = float_of(bits_of(value) & 0xffff0000u);
    const float above = float_of((bits_of(value) & 0xffff0000u) + 0x10000u);
    const double unit = std::abs(static_cast<double>(above) - static_cast<double>(below));
    double sum = 0;
    for (int i = 0; i < kDraws; ++i) {
      const PhiloxWords words = rounding_words(3, 7, 1, static_cast<uint64_t>(i) / 8);
      const uint32_t rounded = rounded_at_random(value, rounding_bits(words, Rounded::v, i % 8));
      const float drawn = float_of(rounded << 16);
      ASSERT_TRUE(drawn == below || drawn == above) << value;
      if (value == below) {
        ASSERT_EQ(drawn, value);
      }
      sum += static_cast<double>(drawn);
    }
    EXPECT_NEAR(sum / kDraws, static_cast<double>(value), 5 * unit / (2 * std::sqrt(kDraws))) << value;
  }
  EXPECT_EQ(rounded_at_random(std::numeric_limits<float>::infinity(), 0xffff), 0x7f80);
  EXPECT_TRUE(std::isnan(float_of(static_cast<uint32_t>(rounded_at_random(std::nanf(""), 0xffff)) << 16)));
}

// Tensors, steps, seeds and groups of elements draw for themselves.
TEST(RandomRounding, DrawsByTensorStepSeedAndGroup) {
  const auto first = [](uint64_t seed, uint64_t step, uint32_t stream, uint64_t group) {
    return rounding_words(seed, step, stream, group).word[0];
  };
  const uint32_t base = first(1, 1, 1, 0);
  EXPECT_NE(first(2, 1, 1, 0), base);
  EXPECT_NE(first(1, 2, 1, 0), base);
  EXPECT_NE(first(1, 1, 2, 0), base);
  EXPECT_NE(first(1, 1, 1, 1), base);
}

// Each kind uses all 128 bits for its eight elements, and no element the same bits for two kinds.
TEST(RandomRounding, RoundsWhatIsOfOneElementApart) {
  const PhiloxWords words{{0x00010000u, 0x00030002u, 0x00050004u, 0x00070006u}};
  std::set<uint32_t> of_kind[3];
  for (int at = 0; at < 8; ++at) {
    std::set<uint32_t> of_element;
    for (const Rounded what : {Rounded::weight, Rounded::m, Rounded::v}) {
      const uint32_t bits = rounding_bits(words, what, at);
      EXPECT_TRUE(of_element.insert(bits).second) << at;
      EXPECT_TRUE(of_kind[static_cast<int>(what)].insert(bits).second) << at;
    }
  }
}

// Steps of 1e-4 are far below the 2^-8 around 1, but on average they arrive: 4096 weights end at 1 - 40 *
// 1e-4 within five standard deviations, each weight's at most sqrt(40) half units.
TEST(AdamW, MovesABf16WithoutMasterByTheRightAmountOnAverage) {
  const size_t n = 4096;
  Tensor<bf16, bf16> t(std::vector<double>(n, 1.0));
  const std::vector<bf16> g(n, bf16(1.0f));
  for (int64_t step = 1; step <= 40; ++step) {
    int64_t moved = 0;
    cpu::adamw(t.with(g), Groups{{}}, Scalars{.rate = 1e-4, .step = step}.pointers(), &moved,
               Write::overwrite);
  }
  double mean = 0, mean_m = 0;
  for (size_t i = 0; i < n; ++i) {
    mean += t.truth(i) / n;
    mean_m += static_cast<double>(static_cast<float>(t.m[i])) / n;
  }
  EXPECT_NEAR(mean, 1 - 40e-4, 5 * std::sqrt(40.0) * 0x1p-9 / std::sqrt(n));
  // m tends to 1 by factors of 0.9, its units below 2^-8 and forgotten as fast.
  EXPECT_NEAR(mean_m, 1 - std::pow(0.9, 40), 5 * 0x1p-9 * std::sqrt(1 / (1 - 0.81)) / std::sqrt(n));
}

TEST(Updates, ChangeNothingWhenTheGradientScaleIsNotFinite) {
  for (const double scale :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Tensor<float, float> t({1.0, -2.0});
    t.m = {0.5f, 0.25f};
    t.v = {0.5f, 0.25f};
    int64_t moved = 3;
    const auto g = std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1.0f};
    cpu::adamw(t.with(g), Groups{{.weight_decay = 0.1}}, Scalars{.scale = scale}.pointers(), &moved,
               Write::overwrite);
    cpu::lion(t.with(g), Groups{{.weight_decay = 0.1}}, Scalars{.scale = scale}.pointers(), &moved,
              Write::accumulate);
    EXPECT_EQ(t.p, (std::vector<float>{1.0f, -2.0f}));
    EXPECT_EQ(t.m, (std::vector<float>{0.5f, 0.25f}));
    EXPECT_EQ(t.v, (std::vector<float>{0.5f, 0.25f}));
    EXPECT_EQ(moved, 0);
  }
}

TEST(Updates, CountWhatMovedWhateverTheNumberOfThreads) {
  const size_t n = 100003;
  std::vector<float> g(n);
  for (size_t i = 0; i < n; i += 3) g[i] = 1.0f;  // Lion leaves the others alone
  std::vector<float> first;
  for (const int threads : {1, 2, 4}) {
    const test::Threads team(threads);
    Tensor<float, float> t(normals(n, 9));
    int64_t moved = 1000;
    cpu::lion(t.with(g), Groups{{}}, Scalars{}.pointers(), &moved, Write::accumulate);
    EXPECT_EQ(moved, 1000 + 33335);
    cpu::adamw(t.with(g), Groups{{}}, Scalars{.step = 2}.pointers(), &moved, Write::overwrite);
    if (first.empty()) first = t.p;
    EXPECT_EQ(t.p, first);
  }
}

TEST(Updates, LeaveTheGapsBetweenRowsAlone) {
  std::vector<double> p(10, 1.0), g(10, 1.0), m(10, 0.0), v(10, 0.0);
  int64_t moved = 0;
  const UpdateTensors<double, double, double, Truth::parameter> t{.parameter = {p.data(), 2, 3, 5},
                                                                  .master = {},
                                                                  .gradient = {g.data(), 2, 3, 5},
                                                                  .m = {m.data(), 2, 3, 5},
                                                                  .v = {v.data(), 2, 3, 5}};
  cpu::adamw(t, Groups{{}}, Scalars{}.pointers(), &moved, Write::overwrite);
  EXPECT_EQ(moved, 6);
  for (const size_t i : {3, 4, 8, 9}) EXPECT_EQ(p[i], 1.0);
}

}  // namespace
}  // namespace lethe::kernels
