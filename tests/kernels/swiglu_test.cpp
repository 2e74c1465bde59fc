#include "kernels/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/rng.h"
#include "kernels/add.h"
#include "kernels/cpu/elements.h"
#include "kernels/fill.h"
#include "tests/kernels/threads.h"

namespace lethe::kernels {
namespace {

// A matrix with a gap of three elements between rows; the gap must stay as it is.
template <class T>
struct Matrix {
  Matrix(int64_t rows_, int64_t width_, const char* name, double spread = 1)
      : rows(rows_), width(width_), values(static_cast<size_t>(rows_ * (width_ + 3))) {
    const Rng rng(5, stream_of(name));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<T>(static_cast<compute_t<T>>(spread * rng.normal(i)));
    }
  }
  kernels::Rows<T> view() { return {values.data(), rows, width, width + 3}; }
  kernels::Rows<const T> read() const { return {values.data(), rows, width, width + 3}; }
  double at(int64_t row, int64_t column) const {
    return static_cast<double>(
        static_cast<compute_t<T>>(values[static_cast<size_t>(row * (width + 3) + column)]));
  }
  double gap(int64_t row) const { return at(row, width); }

  int64_t rows, width;
  std::vector<T> values;
};

double exact_silu(double x) {
  return x / (1 + std::exp(-x));
}

TEST(VectorExp, IsWithinTwoUnitsInTheLastPlace) {
  double worst = 0;
  for (float x = -79.9f; x < 79.9f; x += 0.0137f) {
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(cpu::vector_exp(x)) - exact) / exact);
  }
  EXPECT_LT(worst, 2 * 0x1p-23);
  EXPECT_EQ(cpu::vector_exp(0.0f), 1.0f);
}

TEST(VectorExp, StaysFiniteAtTheEndsAndKeepsNaN) {
  EXPECT_GT(cpu::vector_exp(-1e30f), 0.0f);
  EXPECT_LT(cpu::vector_exp(-std::numeric_limits<float>::infinity()), 1e-34f);
  EXPECT_LT(cpu::vector_exp(1e30f), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(cpu::vector_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Silu, GoesToZeroFarLeftAndToTheIdentityFarRight) {
  const std::vector<float> x{-1e4f, -200.0f, 0.0f, 200.0f, 1e4f};
  std::vector<float> y(x.size());
  cpu::silu<float>({x.data(), 1, 5, 5}, {y.data(), 1, 5, 5});
  EXPECT_NEAR(y[0], 0, 1e-30);
  EXPECT_NEAR(y[1], 0, 1e-30);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_EQ(y[3], 200.0f);
  EXPECT_EQ(y[4], 1e4f);
}

template <class T>
struct Resolution;
template <>
struct Resolution<double> {
  static constexpr double value = 0x1p-52;
};
template <>
struct Resolution<float> {
  static constexpr double value = 0x1p-23;
};
template <>
struct Resolution<bf16> {
  static constexpr double value = 0x1p-8;
};

template <class T>
class SwigluOf : public testing::Test {};
using Stored = testing::Types<double, float, bf16>;
TYPED_TEST_SUITE(SwigluOf, Stored);

TYPED_TEST(SwigluOf, HasTheBitsOfItsComposite) {
  for (const int64_t width : {0, 1, 7, 64, 1025}) {
    const Matrix<TypeParam> gate(3, width, "gate", 2), up(3, width, "up");
    Matrix<TypeParam> fused(3, width, "y"), composite(3, width, "y"), middle(3, width, "z");
    cpu::swiglu<TypeParam>(gate.read(), up.read(), fused.view());
    cpu::silu<TypeParam>(gate.read(), middle.view());
    cpu::mul<TypeParam>(middle.read(), up.read(), composite.view(), Write::overwrite);
    for (size_t i = 0; i < fused.values.size(); ++i) {
      EXPECT_EQ(static_cast<compute_t<TypeParam>>(fused.values[i]),
                static_cast<compute_t<TypeParam>>(composite.values[i]));
    }
  }
}

// Two roundings to storage, plus exp (2 units), a sum, a quotient and products in the compute type: 8 half
// units of the storage type cover them; the results are of size one to a few.
TYPED_TEST(SwigluOf, AgreesWithTheFormulaInDouble) {
  const double unit = Resolution<TypeParam>::value;
  for (const int64_t width : {1, 7, 1025}) {
    const Matrix<TypeParam> gate(5, width, "gate", 2), up(5, width, "up"), dy(5, width, "dy");
    Matrix<TypeParam> y(5, width, "y"), dgate(5, width, "dgate"), dup(5, width, "dup");
    const Matrix<TypeParam> before(5, width, "dup");
    cpu::swiglu<TypeParam>(gate.read(), up.read(), y.view());
    cpu::swiglu_backward<TypeParam>(dy.read(), gate.read(), up.read(), dgate.view(), Write::overwrite,
                                    dup.view(), Write::accumulate);
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t c = 0; c < width; ++c) {
        const double g = gate.at(r, c), u = up.at(r, c), d = dy.at(r, c), s = 1 / (1 + std::exp(-g));
        const auto close = [&](double got, double wanted, double scale) {
          EXPECT_NEAR(got, wanted, 4 * unit * (std::abs(wanted) + scale)) << r << "," << c;
        };
        close(y.at(r, c), exact_silu(g) * u, 0);
        close(dgate.at(r, c), d * u * s * (1 + g * (1 - s)), std::abs(d * u * s));
        close(dup.at(r, c), before.at(r, c) + d * exact_silu(g), std::abs(before.at(r, c)));
      }
      EXPECT_EQ(dup.gap(r), before.gap(r));
    }
  }
}

TYPED_TEST(SwigluOf, LeavesAnUnwantedGradientAlone) {
  const Matrix<TypeParam> gate(2, 7, "gate"), up(2, 7, "up"), dy(2, 7, "dy");
  Matrix<TypeParam> both_gate(2, 7, "a"), both_up(2, 7, "b"), alone(2, 7, "a");
  cpu::swiglu_backward<TypeParam>(dy.read(), gate.read(), up.read(), both_gate.view(), Write::overwrite,
                                  both_up.view(), Write::overwrite);
  cpu::swiglu_backward<TypeParam>(dy.read(), gate.read(), up.read(), alone.view(), Write::overwrite, {},
                                  Write::overwrite);
  for (int64_t c = 0; c < 7; ++c) EXPECT_EQ(alone.at(1, c), both_gate.at(1, c));
}

TYPED_TEST(SwigluOf, DoesNotDependOnTheNumberOfThreads) {
  const Matrix<TypeParam> gate(2, 70001, "gate"), up(2, 70001, "up");
  std::vector<double> first;
  for (const int threads : {1, 3, 4}) {
    const test::Threads team(threads);
    Matrix<TypeParam> y(2, 70001, "y");
    cpu::swiglu<TypeParam>(gate.read(), up.read(), y.view());
    std::vector<double> now;
    for (int64_t c = 0; c < 70001; ++c) now.push_back(y.at(1, c));
    if (first.empty()) first = now;
    EXPECT_EQ(now, first);
  }
}

TYPED_TEST(SwigluOf, AddsInPlaceAndFills) {
  const Matrix<TypeParam> x(3, 9, "x");
  Matrix<TypeParam> y(3, 9, "y");
  const Matrix<TypeParam> before(3, 9, "y");
  cpu::add<TypeParam>(x.read(), y.read(), y.view());
  for (int64_t c = 0; c < 9; ++c) {
    const auto sum = static_cast<compute_t<TypeParam>>(x.at(2, c) + before.at(2, c));
    EXPECT_EQ(y.at(2, c),
              static_cast<double>(static_cast<compute_t<TypeParam>>(static_cast<TypeParam>(sum))));
  }
  EXPECT_EQ(y.gap(1), before.gap(1));
  cpu::fill<TypeParam>(y.view(), 2);
  const double half = 0.5;
  cpu::broadcast<TypeParam, double>(&half, y.view(), Write::accumulate);
  EXPECT_EQ(y.at(0, 0), 2.5);
  EXPECT_EQ(y.at(2, 8), 2.5);
  EXPECT_EQ(y.gap(2), before.gap(2));
}

}  // namespace
}  // namespace lethe::kernels
