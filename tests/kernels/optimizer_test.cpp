#include "kernels/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/rng.h"
#include "tests/kernels/threads.h"

namespace lethe::kernels {
namespace {

// A parameter with its state; `truth` is used where P is narrower than M.
template <class P, class M>
struct Tensor {
  explicit Tensor(const std::vector<double>& start) : m(start.size()), v(start.size()) {
    for (const double x : start) {
      p.push_back(static_cast<P>(static_cast<compute_t<P>>(x)));
      truth.push_back(static_cast<M>(x));
    }
  }
  template <class G>
  cpu::UpdateTensors<P, G, M> with(const std::vector<G>& gradient) {
    const auto n = static_cast<int64_t>(p.size());
    cpu::UpdateTensors<P, G, M> t{.parameter = {p.data(), 1, n, n},
                                  .truth = {truth.data(), 1, n, n},
                                  .gradient = {gradient.data(), 1, n, n},
                                  .m = {m.data(), 1, n, n},
                                  .v = {v.data(), 1, n, n}};
    if constexpr (std::is_same_v<P, M>) t.truth = t.parameter;
    return t;
  }
  std::vector<P> p;
  std::vector<M> truth, m, v;
};

struct Scalars {
  double rate = 0.1;
  int64_t step = 1;
  double scale = 1;
  UpdateScalars pointers() const { return {&rate, &step, &scale}; }
};

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
             {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 0, .weight_decay = 0.01}, Scalars{}.pointers(), &moved,
             Write::overwrite);
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
             {.weight_decay = 0.01, .decoupled_decay = true, .peak_learning_rate = 0.2}, Scalars{}.pointers(),
             &moved, Write::overwrite);
  EXPECT_NEAR(t.p[0], 2 * (1 - 0.005), 1e-15);
}

TEST(Lion, TakesTwoStepsWorkedOutByHand) {
  // DecoupledLionW, betas (0.9, 0.99), lr 0.1 of a peak of 0.1, decay 0.01, p = (1, 1, 1):
  // step 1, g = (0.5, -2, 0): p = 0.99 - 0.1 sign(0.1 g) = (0.89, 1.09, 0.99); m = 0.01 g = (0.005, -0.02,
  // 0). step 2, g = (-0.01, 1, 0), lr 0.05, so decay 0.005: 0.9 m + 0.1 g = (0.0035, 0.082, 0):
  //   p = 0.995 p - (0.05, 0.05, 0); m = 0.99 m + 0.01 g = (0.00485, -0.0098, 0).
  Tensor<double, double> t({1.0, 1.0, 1.0});
  const UpdateConstants constants{
      .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.01, .decoupled_decay = true, .peak_learning_rate = 0.1};
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
    const UpdateConstants constants{.beta1 = b1, .beta2 = b2, .epsilon = eps, .weight_decay = decay};
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

TEST(AdamW, AddsUpStepsFarBelowTheParametersResolution) {
  // bf16 knows 1 and 1 - 2^-8 but nothing between. Steps of 1e-4: the parameter must stay at 1 for 19 steps
  // (half of 2^-8 is 0.00195), and move then, as the float truth does.
  Tensor<bf16, float> t({1.0});
  int64_t moved_at = 0;
  for (int64_t step = 1; step <= 25; ++step) {
    int64_t moved = 0;
    cpu::adamw(t.with(std::vector<float>{1.0f}), {.epsilon = 1e-12},
               Scalars{.rate = 1e-4, .step = step}.pointers(), &moved, Write::overwrite);
    if (moved && !moved_at) moved_at = step;
  }
  EXPECT_NEAR(t.truth[0], 1 - 25e-4, 1e-6);
  EXPECT_EQ(moved_at, 20);
  EXPECT_EQ(static_cast<float>(t.p[0]), 1 - 0x1p-8f);
}

TEST(Updates, ChangeNothingWhenTheGradientScaleIsNotFinite) {
  for (const double scale :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Tensor<float, float> t({1.0, -2.0});
    t.m = {0.5f, 0.25f};
    t.v = {0.5f, 0.25f};
    int64_t moved = 3;
    const auto g = std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1.0f};
    cpu::adamw(t.with(g), {.weight_decay = 0.1}, Scalars{.scale = scale}.pointers(), &moved,
               Write::overwrite);
    cpu::lion(t.with(g), {.weight_decay = 0.1}, Scalars{.scale = scale}.pointers(), &moved,
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
    cpu::lion(t.with(g), {}, Scalars{}.pointers(), &moved, Write::accumulate);
    EXPECT_EQ(moved, 1000 + 33335);
    cpu::adamw(t.with(g), {}, Scalars{.step = 2}.pointers(), &moved, Write::overwrite);
    if (first.empty()) first = t.p;
    EXPECT_EQ(t.p, first);
  }
}

TEST(Updates, LeaveTheGapsBetweenRowsAlone) {
  std::vector<double> p(10, 1.0), g(10, 1.0), m(10, 0.0), v(10, 0.0);
  int64_t moved = 0;
  const cpu::UpdateTensors<double, double, double> t{{p.data(), 2, 3, 5},
                                                     {p.data(), 2, 3, 5},
                                                     {g.data(), 2, 3, 5},
                                                     {m.data(), 2, 3, 5},
                                                     {v.data(), 2, 3, 5}};
  cpu::adamw(t, {}, Scalars{}.pointers(), &moved, Write::overwrite);
  EXPECT_EQ(moved, 6);
  for (const size_t i : {3, 4, 8, 9}) EXPECT_EQ(p[i], 1.0);
}

}  // namespace
}  // namespace lethe::kernels
