#include "kernels/matmul.h"

#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;
using kernels::Write;

class Matmul : public KernelTest {};

template <class A, class B, class C>
struct Product {
  MatmulForm form;
  int64_t m, n, k;
  Matrix<A> a;
  Matrix<B> b;

  Product(MatmulForm form_, int64_t m_, int64_t n_, int64_t k_, int64_t padding)
      : form(form_),
        m(m_),
        n(n_),
        k(k_),
        a(form == MatmulForm::tn ? k : m, form == MatmulForm::tn ? m : k,
          (form == MatmulForm::tn ? m : k) + padding, 1),
        b(form == MatmulForm::nt ? n : k, form == MatmulForm::nt ? k : n,
          (form == MatmulForm::nt ? k : n) + padding, 2) {}

  void run(double alpha, Matrix<C>& c, Write write, int threads) const {
    const Threads team(threads);
    const int64_t bytes = kernels::cpu::matmul_workspace_bytes<A, B, C>(m, n, k, threads);
    std::vector<std::byte> workspace(static_cast<size_t>(bytes));
    kernels::cpu::matmul<A, B, C>(form, alpha, a.view(), b.view(), c.rows(), write, workspace.data());
  }

  // Exact operands summed in double: the sum, and the sum of magnitudes that rounding is measured by.
  std::pair<double, double> reference(int64_t i, int64_t j) const {
    double sum = 0, magnitude = 0;
    for (int64_t x = 0; x < k; ++x) {
      const double term =
          (form == MatmulForm::tn ? a(x, i) : a(i, x)) * (form == MatmulForm::nt ? b(j, x) : b(x, j));
      sum += term;
      magnitude += std::abs(term);
    }
    return {sum, magnitude};
  }
};

// A sum of k products, in any order, errs by at most about k roundings of the sum of their magnitudes
// (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1); alpha, the addition to what is there and
// the storage type add one each.
template <class A, class B, class C>
void expect_product(MatmulForm form, int64_t m, int64_t n, int64_t k, int64_t padding, Write write) {
  SCOPED_TRACE(testing::Message() << "form " << static_cast<int>(form) << ", " << m << " x " << n << " x "
                                  << k);
  const double alpha = -1.5;
  const Product<A, B, C> p(form, m, n, k, padding);
  const Matrix<C> before(m, n, n + padding, 3);
  Matrix<C> c = before;
  p.run(alpha, c, write, 2);
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const auto [sum, magnitude] = p.reference(i, j);
      const double start = write == Write::accumulate ? before(i, j) : 0, expected = start + alpha * sum;
      const double inner = rounding<compute_t<C>>() * static_cast<double>(k + 3);
      const double bound =
          inner * (std::abs(start) + std::abs(alpha) * magnitude) + 1.01 * rounding<C>() * std::abs(expected);
      if (!(std::abs(c(i, j) - expected) <= bound)) ++wrong;
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(c.padding_untouched());
}

template <class A, class B, class C>
void expect_awkward_products() {
  for (const MatmulForm form : {MatmulForm::nt, MatmulForm::nn, MatmulForm::tn}) {
    for (const Write write : {Write::overwrite, Write::accumulate}) {
      expect_product<A, B, C>(form, 1, 1, 1, 0, write);
      expect_product<A, B, C>(form, 7, 5, 3, 2, write);
      expect_product<A, B, C>(form, 3, 2, 1025, 1, write);
      expect_product<A, B, C>(form, 301, 333, 5, 3, write);
      for (const auto& [m, n, k] : {std::array<int64_t, 3>{0, 3, 2}, {3, 0, 2}, {3, 2, 0}})
        expect_product<A, B, C>(form, m, n, k, 1, write);
    }
  }
}

TEST_F(Matmul, OfDoublesIsTheSumOfProducts) {
  expect_awkward_products<double, double, double>();
}
TEST_F(Matmul, OfFloatsIsTheSumOfProducts) {
  expect_awkward_products<float, float, float>();
}
TEST_F(Matmul, OfBf16IsSummedInFloat) {
  expect_awkward_products<bf16, bf16, bf16>();
}
TEST_F(Matmul, OfFloatActivationsWithBf16WeightsIsSummedInFloat) {
  expect_awkward_products<float, bf16, float>();
}
TEST_F(Matmul, OfBf16ActivationsMayGoToAFloatGradient) {
  expect_awkward_products<bf16, bf16, float>();
}
TEST_F(Matmul, OfOtherMixesIsSummedInFloat) {
  expect_awkward_products<float, float, bf16>();
  expect_awkward_products<float, bf16, bf16>();
  expect_awkward_products<bf16, float, float>();
  expect_awkward_products<bf16, float, bf16>();
}

TEST_F(Matmul, OverwritesWhateverWasThere) {
  const Product<float, float, float> p(MatmulForm::nt, 3, 4, 5, 0);
  Matrix<float> clean(3, 4), dirty(3, 4);
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 4; ++j) dirty.at(i, j) = std::numeric_limits<float>::quiet_NaN();
  p.run(1, clean, Write::overwrite, 1);
  p.run(1, dirty, Write::overwrite, 1);
  EXPECT_TRUE(clean.same_bits(dirty));
}

template <class A, class B, class C>
void expect_same_bits(MatmulForm form, int64_t m, int64_t n, int64_t k) {
  const Product<A, B, C> p(form, m, n, k, 1);
  const Matrix<C> before(m, n, 0, 3);
  Matrix<C> one = before, two = before, four = before;
  p.run(0.7, one, Write::accumulate, 1);
  p.run(0.7, two, Write::accumulate, 2);
  p.run(0.7, four, Write::accumulate, 4);
  EXPECT_TRUE(one.same_bits(two));
  EXPECT_TRUE(one.same_bits(four));
}

TEST_F(Matmul, HasTheSameBitsOnAnyNumberOfThreads) {
  for (const MatmulForm form : {MatmulForm::nt, MatmulForm::nn, MatmulForm::tn}) {
    expect_same_bits<float, float, float>(form, 700, 601, 65);
    expect_same_bits<double, double, double>(form, 300, 301, 33);
    expect_same_bits<bf16, bf16, bf16>(form, 700, 301, 600);
    expect_same_bits<bf16, float, float>(form, 333, 301, 600);
  }
}

}  // namespace
}  // namespace lethe::test
