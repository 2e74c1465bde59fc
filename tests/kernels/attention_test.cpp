#include "kernels/attention.h"

#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

using kernels::AttentionShape;
using kernels::Write;

class Attention : public KernelTest {};

// The definition with plain loops in double, forward and backward.
struct Reference {
  std::vector<double> out, lse, dq, dk, dv;
};

template <class T>
struct Case {
  AttentionShape s;
  std::vector<int32_t> starts;
  Matrix<T> q, k, v, dout;

  // document: documents start every so many tokens; 0: one a row.
  Case(const AttentionShape& shape, int64_t document, double spread = 1)
      : s(shape),
        q(s.batch * s.tokens, s.heads * s.head_dim, s.heads * s.head_dim + 5, 1, spread),
        k(s.batch * s.tokens, s.kv_heads * s.head_dim, s.kv_heads * s.head_dim + 3, 2, spread),
        v(s.batch * s.tokens, s.kv_heads * s.head_dim, 0, 3),
        dout(s.batch * s.tokens, s.heads * s.head_dim, s.heads * s.head_dim + 1, 4) {
    for (int64_t i = 0; i < s.batch * s.tokens; ++i) {
      const int64_t t = i % s.tokens;
      starts.push_back(static_cast<int32_t>(document ? t / document * document : 0));
    }
  }

  double scale() const { return 1 / std::sqrt(static_cast<double>(s.head_dim)); }
  int64_t first(int64_t row, int64_t t) const {
    const int64_t start = starts[static_cast<size_t>(row + t)];
    return s.window ? std::max(start, t - s.window + 1) : start;
  }

  Reference reference(const Matrix<T>& out) const;
};

template <class T>
Reference Case<T>::reference(const Matrix<T>& out) const {
  const int64_t n = s.batch * s.tokens, d = s.head_dim, group = s.heads / s.kv_heads;
  const auto zeros = [](int64_t count) { return std::vector<double>(static_cast<size_t>(count)); };
  Reference r{zeros(n * s.heads * d), zeros(n * s.heads), zeros(n * s.heads * d), zeros(n * s.kv_heads * d),
              zeros(n * s.kv_heads * d)};
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t row = b * s.tokens, g = h / group;
      for (int64_t i = 0; i < s.tokens; ++i) {
        const auto dot = [&](const Matrix<T>& x, const Matrix<T>& y, int64_t j) {
          double sum = 0;
          for (int64_t c = 0; c < d; ++c) sum += x(row + i, h * d + c) * y(row + j, g * d + c);
          return sum;
        };
        double sum = 0, delta = 0;
        for (int64_t j = first(row, i); j <= i; ++j) sum += std::exp(scale() * dot(q, k, j));
        const double lse = std::log(sum);
        r.lse[static_cast<size_t>((b * s.heads + h) * s.tokens + i)] = lse;
        for (int64_t c = 0; c < d; ++c) delta += dout(row + i, h * d + c) * out(row + i, h * d + c);
        for (int64_t j = first(row, i); j <= i; ++j) {
          const double p = std::exp(scale() * dot(q, k, j) - lse),
                       ds = p * (dot(dout, v, j) - delta) * scale();
          for (int64_t c = 0; c < d; ++c) {
            const auto at_q = static_cast<size_t>((row + i) * s.heads * d + h * d + c);
            const auto at_k = static_cast<size_t>((row + j) * s.kv_heads * d + g * d + c);
            r.out[at_q] += p * v(row + j, g * d + c);
            r.dq[at_q] += ds * k(row + j, g * d + c);
            r.dk[at_k] += ds * q(row + i, h * d + c);
            r.dv[at_k] += p * dout(row + i, h * d + c);
          }
        }
      }
    }
  }
  return r;
}

template <class T>
struct Result {
  Matrix<T> out, dq, dk, dv;
  std::vector<compute_t<T>> lse;

  explicit Result(const AttentionShape& s)
      : out(s.batch * s.tokens, s.heads * s.head_dim, s.heads * s.head_dim + 2),
        dq(s.batch * s.tokens, s.heads * s.head_dim, s.heads * s.head_dim + 4, 5),
        dk(s.batch * s.tokens, s.kv_heads * s.head_dim, 0, 6),
        dv(s.batch * s.tokens, s.kv_heads * s.head_dim, 0, 7),
        lse(static_cast<size_t>(s.batch * s.heads * s.tokens)) {}
};

template <class T>
Result<T> run(const Case<T>& c, Write write, int threads) {
  const Threads team(threads);
  Result<T> r(c.s);
  std::vector<std::byte> workspace(
      static_cast<size_t>(std::max(kernels::cpu::attention_workspace_bytes<T>(c.s, threads),
                                   kernels::cpu::attention_backward_workspace_bytes<T>(c.s, threads))));
  kernels::cpu::attention<T>(c.s, c.scale(), c.q.view(), c.k.view(), c.v.view(), c.starts.data(),
                             r.out.rows(), r.lse.data(), workspace.data());
  kernels::cpu::attention_backward<T>(c.s, c.scale(), c.dout.view(), c.q.view(), c.k.view(), c.v.view(),
                                      c.starts.data(), r.out.view(), r.lse.data(), {r.dq.rows(), write},
                                      {r.dk.rows(), write}, {r.dv.rows(), write}, workspace.data());
  return r;
}

double largest(const std::vector<double>& values) {
  double size = 0;
  for (const double v : values) size = std::max(size, std::abs(v));
  return size;
}

// Largest difference from the reference, as a share of the largest value, or of `floor` where that is more.
template <class T>
double worst(const Matrix<T>& x, const std::vector<double>& reference, const Matrix<T>* before = nullptr,
             double floor = 1e-300) {
  const int64_t rows = x.view().rows, width = x.view().width;
  double error = 0, size = floor;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t c = 0; c < width; ++c) {
      const double expected = reference[static_cast<size_t>(i * width + c)] + (before ? (*before)(i, c) : 0);
      error = std::max(error, std::abs(x(i, c) - expected));
      size = std::max(size, std::abs(expected));
    }
  }
  return error / size;
}

// An output is a mean of values, a gradient a sum of at most T * group terms; each term carries the error of
// a score (D products of size up to some 10, then exp), and sums of n terms of mixed sign grow by sqrt(n)
// roundings: (D + sqrt(T * group)) * 10 roundings of the compute type bound what is seen here by a factor of
// three or more. Stored results are rounded once more; delta uses the stored output in both.
template <class T>
void expect_matches(const AttentionShape& s, int64_t document, Write write) {
  SCOPED_TRACE(testing::Message() << s.tokens << " tokens, window " << s.window << ", document " << document);
  const Case<T> c(s, document);
  const Result<T> r = run(c, write, 2), untouched(s);
  const Reference expected = c.reference(r.out);
  const auto terms = static_cast<double>(s.tokens * s.heads / s.kv_heads);
  const double bound = 10 * (static_cast<double>(s.head_dim) + std::sqrt(terms)) * rounding<compute_t<T>>() +
                       1.01 * rounding<T>();
  const auto before = [&](const Matrix<T>& m) { return write == Write::accumulate ? &m : nullptr; };
  EXPECT_LE(worst(r.out, expected.out), bound);
  // dq and dk of a token that sees itself alone are nothing but the rounding of do . v - delta, two numbers
  // as large as dv.
  const double terms_size = largest(expected.dv);
  EXPECT_LE(worst(r.dq, expected.dq, before(untouched.dq), terms_size), bound);
  EXPECT_LE(worst(r.dk, expected.dk, before(untouched.dk), terms_size), bound);
  EXPECT_LE(worst(r.dv, expected.dv, before(untouched.dv)), bound);
  for (size_t i = 0; i < r.lse.size(); ++i) ASSERT_NEAR(to_double(r.lse[i]), expected.lse[i], 10 * bound);
  EXPECT_TRUE(r.out.padding_untouched());
  EXPECT_TRUE(r.dq.padding_untouched());
}

template <class T>
void expect_matches_everywhere() {
  for (const Write write : {Write::overwrite, Write::accumulate}) {
    expect_matches<T>({1, 1, 1, 1, 2, 0}, 0, write);
    expect_matches<T>({2, 7, 4, 2, 6, 0}, 0, write);
    expect_matches<T>({1, 65, 3, 1, 8, 0}, 10, write);
    expect_matches<T>({2, 130, 2, 2, 16, 40}, 0, write);
    expect_matches<T>({1, 200, 2, 1, 4, 150}, 90, write);
  }
  expect_matches<T>({1, 700, 2, 1, 8, 0}, 0, Write::overwrite);
  expect_matches<T>({1, 700, 2, 1, 8, 33}, 301, Write::overwrite);
}

TEST_F(Attention, InDoubleIsItsDefinition) {
  expect_matches_everywhere<double>();
}
TEST_F(Attention, InFloatIsItsDefinition) {
  expect_matches_everywhere<float>();
}
TEST_F(Attention, InBf16IsItsDefinition) {
  expect_matches_everywhere<bf16>();
}

TEST_F(Attention, StaysFiniteWhereScoresAreHuge) {
  const Case<float> c({1, 150, 2, 1, 8, 0}, 0, 40.0);
  const Result<float> r = run(c, Write::overwrite, 2);
  for (int64_t i = 0; i < 150; ++i)
    for (int64_t j = 0; j < 16; ++j) ASSERT_TRUE(std::isfinite(r.out(i, j)) && std::isfinite(r.dq(i, j)));
}

TEST_F(Attention, ShowsANotANumberWhereAScoreIsOne) {
  Case<float> c({1, 5, 1, 1, 2, 0}, 0);
  c.k.at(2, 0) = std::numeric_limits<float>::quiet_NaN();
  const Result<float> r = run(c, Write::overwrite, 1);
  EXPECT_FALSE(std::isnan(r.out(1, 0)));
  EXPECT_TRUE(std::isnan(r.out(2, 0)));
}

TEST_F(Attention, OfATokenThatSeesNothingIsZero) {
  Case<float> c({1, 3, 1, 1, 2, 0}, 0);
  c.starts = {0, 2, 2};
  const Result<float> r = run(c, Write::overwrite, 1);
  for (int64_t j = 0; j < 2; ++j) {
    EXPECT_EQ(r.out(1, j), 0);
    EXPECT_EQ(r.dq(1, j), 0);
  }
}

// A row of texts that branch, and each path through it, from the beginning to a branch's end, as a row by
// itself: the path's places in the row.
struct Branches {
  std::vector<int32_t> starts, hidden;
  std::vector<std::vector<int64_t>> paths;

  // Each text: how long its beginning is, and each of its branches.
  explicit Branches(const std::vector<std::pair<int64_t, std::vector<int64_t>>>& texts) {
    std::vector<int32_t> from, to;
    for (const auto& [beginning, branches] : texts) {
      const auto start = static_cast<int64_t>(starts.size());
      const auto append = [&](int64_t count, int64_t hidden_to) {
        for (int64_t i = 0; i < count; ++i) {
          starts.push_back(static_cast<int32_t>(start));
          from.push_back(static_cast<int32_t>(start + beginning));
          to.push_back(static_cast<int32_t>(hidden_to));
        }
      };
      append(beginning, start);
      for (const int64_t length : branches) {
        const auto at = static_cast<int64_t>(starts.size());
        append(length, at);
        paths.emplace_back();
        for (int64_t i = 0; i < beginning; ++i) paths.back().push_back(start + i);
        for (int64_t i = 0; i < length; ++i) paths.back().push_back(at + i);
      }
    }
    hidden = from;
    hidden.insert(hidden.end(), to.begin(), to.end());
  }
};

// Sums over the same keys in other blocks: the bound of expect_matches.
template <class T>
void expect_branches(const Branches& b, int64_t heads, int64_t kv_heads, int64_t head_dim, int threads) {
  const Threads team(threads);
  const auto tokens = std::ssize(b.starts);
  Case<T> whole({1, tokens, heads, kv_heads, head_dim, 0}, 0);
  Result<T> got(whole.s);
  std::vector<std::byte> workspace(
      static_cast<size_t>(kernels::cpu::attention_workspace_bytes<T>(whole.s, threads)));
  kernels::cpu::branched_attention<T>(whole.s, whole.scale(), whole.q.view(), whole.k.view(), whole.v.view(),
                                      b.starts.data(), b.hidden.data(), got.out.rows(), got.lse.data(),
                                      workspace.data());
  const double bound = 10 * (static_cast<double>(head_dim) + std::sqrt(static_cast<double>(tokens))) *
                           rounding<compute_t<T>>() +
                       1.01 * rounding<T>();
  for (const std::vector<int64_t>& path : b.paths) {
    Case<T> alone({1, std::ssize(path), heads, kv_heads, head_dim, 0}, 0);
    const auto take = [&](Matrix<T>& to, Matrix<T>& of, int64_t width) {
      for (int64_t i = 0; i < std::ssize(path); ++i)
        for (int64_t c = 0; c < width; ++c) to.at(i, c) = of.at(path[static_cast<size_t>(i)], c);
    };
    take(alone.q, whole.q, heads * head_dim);
    take(alone.k, whole.k, kv_heads * head_dim);
    take(alone.v, whole.v, kv_heads * head_dim);
    const Result<T> expected = run(alone, Write::overwrite, 1);
    for (int64_t i = 0; i < std::ssize(path); ++i) {
      for (int64_t c = 0; c < heads * head_dim; ++c)
        ASSERT_NEAR(got.out(path[static_cast<size_t>(i)], c), expected.out(i, c), 4 * bound) << i;
    }
  }
}

template <class T>
void expect_branches_everywhere() {
  const Branches texts({{70, {5, 130, 1}}, {3, {}}, {1, {40, 40, 40, 40}}, {200, {60, 3}}, {9, {0, 2}}});
  for (const int threads : {1, 3}) expect_branches<T>(texts, 4, 2, 8, threads);
  expect_branches<T>(Branches({{0, {4, 5}}}), 1, 1, 4, 1);
}

TEST_F(Attention, ABranchSeesItsBeginningAndItself) {
  expect_branches_everywhere<double>();
  expect_branches_everywhere<float>();
  expect_branches_everywhere<bf16>();
}

TEST_F(Attention, ComputesOnlyTheGradientsThatAreWanted) {
  const Case<float> c({2, 70, 2, 1, 4, 0}, 0);
  const Result<float> all = run(c, Write::overwrite, 2);
  Result<float> one(c.s);
  std::vector<std::byte> workspace(
      static_cast<size_t>(kernels::cpu::attention_backward_workspace_bytes<float>(c.s, 2)));
  kernels::cpu::attention_backward<float>(c.s, c.scale(), c.dout.view(), c.q.view(), c.k.view(), c.v.view(),
                                          c.starts.data(), all.out.view(), all.lse.data(), {},
                                          {one.dk.rows()}, {}, workspace.data());
  EXPECT_TRUE(one.dk.same_bits(all.dk));
}

template <class T>
void expect_same_bits() {
  const Case<T> c({3, 150, 4, 2, 8, 100}, 77);
  const Result<T> one = run(c, Write::accumulate, 1);
  for (const int threads : {2, 4}) {
    const Result<T> r = run(c, Write::accumulate, threads);
    EXPECT_TRUE(one.out.same_bits(r.out));
    EXPECT_TRUE(one.dq.same_bits(r.dq));
    EXPECT_TRUE(one.dk.same_bits(r.dk));
    EXPECT_TRUE(one.dv.same_bits(r.dv));
    EXPECT_EQ(one.lse, r.lse);
  }
}

TEST_F(Attention, HasTheSameBitsOnAnyNumberOfThreads) {
  expect_same_bits<double>();
  expect_same_bits<float>();
  expect_same_bits<bf16>();
}

}  // namespace
}  // namespace lethe::test
