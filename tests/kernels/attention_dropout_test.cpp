#include "kernels/attention_dropout.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

using kernels::AttentionDropout;
using kernels::AttentionMask;
using kernels::AttentionShape;
using kernels::Write;

class DroppedAttention : public KernelTest {};

struct Key {
  int64_t seed = 42, step = 1, first_row = 0;
  uint64_t stream = 99;
};

// The definition, pair by pair.
double factor(const AttentionShape& s, double rate, const Key& key, int64_t b, int64_t h, int64_t i,
              int64_t j) {
  const auto number = static_cast<uint64_t>((key.first_row / s.tokens + b) * s.heads + h);
  const auto across = static_cast<uint64_t>((s.tokens + 15) / 16 * 8);
  const auto group = [](int64_t x) { return static_cast<uint64_t>(x / 16 * 8 + x % 8); };
  const PhiloxWords words =
      philox(static_cast<uint64_t>(key.seed), (number * across + group(i)) * across + group(j),
             key.stream + static_cast<uint64_t>(key.step) * 0x9E3779B97F4A7C15u);
  const bool kept = static_cast<double>(uniform01(words.word[2 * (i / 8 % 2) + j / 8 % 2])) >= rate;
  return kept ? 1 / (1 - rate) : 0;
}

template <class T>
struct Problem {
  AttentionShape s;
  std::vector<int32_t> starts;
  Matrix<T> q, k, v, dout;
  Matrix<T> out, dq, dk, dv;
  std::vector<compute_t<T>> lse;

  Problem(const AttentionShape& shape, int64_t document)
      : s(shape),
        q(rows(), s.heads * s.head_dim, s.heads * s.head_dim + 5, 1),
        k(rows(), s.kv_heads * s.head_dim, 0, 2),
        v(rows(), s.kv_heads * s.head_dim, 0, 3),
        dout(rows(), s.heads * s.head_dim, 0, 4),
        out(rows(), s.heads * s.head_dim, 0),
        dq(rows(), s.heads * s.head_dim, 0, 5),
        dk(rows(), s.kv_heads * s.head_dim, 0, 6),
        dv(rows(), s.kv_heads * s.head_dim, 0, 7),
        lse(static_cast<size_t>(rows() * s.heads)) {
    for (int64_t i = 0; i < rows(); ++i) {
      const int64_t t = i % s.tokens;
      starts.push_back(static_cast<int32_t>(document ? t / document * document : 0));
    }
  }
  int64_t rows() const { return s.batch * s.tokens; }
  double scale() const { return 1 / std::sqrt(static_cast<double>(s.head_dim)); }
  int64_t first(int64_t row, int64_t t) const {
    const int64_t start = starts[static_cast<size_t>(row + t)];
    return s.window ? std::max(start, t - s.window + 1) : start;
  }

  // rate below 0: without saying anything of dropout.
  void run(double rate, const Key& key, int threads) {
    const Threads team(threads);
    const AttentionDropout dropout{.rate = rate, .key = {&key.seed, &key.step, &key.first_row, key.stream}};
    const AttentionDropout* asked = rate < 0 ? nullptr : &dropout;
    std::vector<std::byte> workspace(
        static_cast<size_t>(std::max(kernels::cpu::attention_workspace_bytes<T>(s, threads),
                                     kernels::cpu::attention_backward_workspace_bytes<T>(s, threads))));
    kernels::cpu::attention<T>(s, scale(), q.view(), k.view(), v.view(), starts.data(), out.rows(),
                               lse.data(), workspace.data(), asked);
    kernels::cpu::attention_backward<T>(s, scale(), dout.view(), q.view(), k.view(), v.view(), starts.data(),
                                        out.view(), lse.data(), {dq.rows()}, {dk.rows()}, {dv.rows()},
                                        workspace.data(), asked);
  }
};

// The sums of expect_matches in attention_test.cpp with its bound, each term at most 1 / (1 - rate) as large.
template <class T>
void expect_matches(const AttentionShape& shape, int64_t document, double rate) {
  SCOPED_TRACE(testing::Message() << shape.tokens << " tokens, document " << document << ", rate " << rate);
  Problem<T> p(shape, document);
  const AttentionShape& s = p.s;
  const Key key{.seed = 7, .step = 3, .first_row = 4 * s.tokens, .stream = 17};
  p.run(rate, key, 2);
  const int64_t d = s.head_dim, group = s.heads / s.kv_heads;
  const auto zeros = [](int64_t count) { return std::vector<double>(static_cast<size_t>(count)); };
  std::vector<double> out = zeros(p.rows() * s.heads * d), dq = out, dk = zeros(p.rows() * s.kv_heads * d),
                      dv = dk;
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
        for (int64_t j = p.first(row, i); j <= i; ++j) sum += std::exp(p.scale() * dot(p.q, p.k, j));
        for (int64_t c = 0; c < d; ++c) delta += p.dout(row + i, h * d + c) * p.out(row + i, h * d + c);
        for (int64_t j = p.first(row, i); j <= i; ++j) {
          const double probability = std::exp(p.scale() * dot(p.q, p.k, j)) / sum;
          const double m = factor(s, rate, key, b, h, i, j);
          const double ds = probability * (m * dot(p.dout, p.v, j) - delta) * p.scale();
          for (int64_t c = 0; c < d; ++c) {
            const auto at_q = static_cast<size_t>((row + i) * s.heads * d + h * d + c);
            const auto at_k = static_cast<size_t>((row + j) * s.kv_heads * d + g * d + c);
            out[at_q] += m * probability * p.v(row + j, g * d + c);
            dq[at_q] += ds * p.k(row + j, g * d + c);
            dk[at_k] += ds * p.q(row + i, h * d + c);
            dv[at_k] += m * probability * p.dout(row + i, h * d + c);
          }
        }
      }
    }
  }
  const auto largest = [](const std::vector<double>& values) {
    double size = 0;
    for (const double v : values) size = std::max(size, std::abs(v));
    return size;
  };
  const auto terms = static_cast<double>(s.tokens * group);
  const double bound =
      10 * (static_cast<double>(d) + std::sqrt(terms)) * rounding<compute_t<T>>() / (1 - rate) +
      1.01 * rounding<T>();
  const auto expect_near = [&](const Matrix<T>& x, const std::vector<double>& expected, double size) {
    double error = 0;
    const int64_t width = x.view().width;
    for (int64_t i = 0; i < std::ssize(expected); ++i)
      error = std::max(error, std::abs(x(i / width, i % width) - expected[static_cast<size_t>(i)]));
    EXPECT_LE(error, bound * std::max(size, largest(expected)));
  };
  expect_near(p.out, out, 0);
  expect_near(p.dq, dq, largest(dv));
  expect_near(p.dk, dk, largest(dv));
  expect_near(p.dv, dv, 0);
}

template <class T>
void expect_matches_everywhere() {
  expect_matches<T>({1, 1, 1, 1, 2, 0}, 0, 0.5);
  expect_matches<T>({2, 7, 4, 2, 6, 0}, 0, 0.3);
  expect_matches<T>({1, 65, 3, 1, 8, 0}, 10, 0.1);
  expect_matches<T>({2, 130, 2, 2, 16, 40}, 0, 0.05);
  expect_matches<T>({1, 300, 2, 1, 4, 150}, 90, 0.6);
}

TEST_F(DroppedAttention, InDoubleIsItsDefinition) {
  expect_matches_everywhere<double>();
}
TEST_F(DroppedAttention, InFloatIsItsDefinition) {
  expect_matches_everywhere<float>();
}
TEST_F(DroppedAttention, InBf16IsItsDefinition) {
  expect_matches_everywhere<bf16>();
}

TEST_F(DroppedAttention, AtRateZeroHasTheBitsOfNone) {
  Problem<float> with({2, 150, 4, 2, 8, 40}, 77), without({2, 150, 4, 2, 8, 40}, 77);
  with.run(0, {}, 2);
  without.run(-1, {}, 2);
  EXPECT_TRUE(with.out.same_bits(without.out));
  EXPECT_TRUE(with.dq.same_bits(without.dq));
  EXPECT_TRUE(with.dk.same_bits(without.dk));
  EXPECT_TRUE(with.dv.same_bits(without.dv));
  Problem<float> dropped({2, 150, 4, 2, 8, 40}, 77);
  dropped.run(0.1, {}, 2);
  EXPECT_FALSE(dropped.out.same_bits(without.out));
  EXPECT_EQ(dropped.lse, without.lse);
}

TEST_F(DroppedAttention, DoesNotDependOnTheNumberOfThreads) {
  Problem<bf16> one({3, 150, 4, 2, 8, 100}, 77);
  one.run(0.25, {}, 1);
  for (const int threads : {2, 4}) {
    Problem<bf16> many({3, 150, 4, 2, 8, 100}, 77);
    many.run(0.25, {}, threads);
    EXPECT_TRUE(one.out.same_bits(many.out));
    EXPECT_TRUE(one.dq.same_bits(many.dq));
    EXPECT_TRUE(one.dk.same_bits(many.dk));
    EXPECT_TRUE(one.dv.same_bits(many.dv));
  }
}

// The last sequence of three, alone and told of the two before it.
TEST_F(DroppedAttention, IsTheSameHoweverSequencesAreSplit) {
  const AttentionShape three{3, 50, 2, 1, 4, 0}, one{1, 50, 2, 1, 4, 0};
  Problem<float> whole(three, 0), part(one, 0);
  const auto take = [](Matrix<float>& to, Matrix<float>& from) {
    for (int64_t i = 0; i < 50; ++i)
      for (int64_t c = 0; c < to.view().width; ++c) to.at(i, c) = from.at(100 + i, c);
  };
  take(part.q, whole.q);
  take(part.k, whole.k);
  take(part.v, whole.v);
  take(part.dout, whole.dout);
  whole.run(0.4, {}, 1);
  part.run(0.4, {.first_row = 100}, 1);
  for (int64_t i = 0; i < 50; ++i) {
    for (int64_t c = 0; c < 8; ++c) {
      EXPECT_EQ(part.out(i, c), whole.out(100 + i, c));
      EXPECT_EQ(part.dq(i, c), whole.dq(100 + i, c));
    }
    for (int64_t c = 0; c < 4; ++c) {
      EXPECT_EQ(part.dk(i, c), whole.dk(100 + i, c));
      EXPECT_EQ(part.dv(i, c), whole.dv(100 + i, c));
    }
  }
}

// All pairs of several heads, kept or not.
std::vector<bool> mask_of(const AttentionShape& s, double rate, const Key& key) {
  const AttentionDropout dropout{.rate = rate};
  std::vector<bool> kept;
  for (int64_t n = 0; n < s.batch * s.heads; ++n) {
    const auto mask = AttentionMask::of(s, {&key.seed, &key.step, &key.first_row, key.stream},
                                        dropout.threshold(), n / s.heads, n % s.heads);
    for (int64_t i = 0; i < s.tokens; ++i) {
      for (int64_t j = 0; j < s.tokens; ++j)
        kept.push_back(mask.keeps(mask.words(i, j).word[2 * (i / 8 % 2) + j / 8 % 2]));
    }
  }
  return kept;
}

TEST_F(DroppedAttention, KeepsItsShare) {
  // n independent draws: the number kept has deviation sqrt(n rate (1 - rate)); five of them are allowed.
  const AttentionShape s{2, 203, 3, 1, 4, 0};
  for (const double rate : {0.05, 0.1, 0.5, 0.9}) {
    const std::vector<bool> kept = mask_of(s, rate, {});
    const auto n = static_cast<double>(kept.size());
    EXPECT_NEAR(static_cast<double>(std::ranges::count(kept, true)), (1 - rate) * n,
                5 * std::sqrt(n * rate * (1 - rate)))
        << rate;
  }
}

TEST_F(DroppedAttention, DrawsEachPairOfItsOwn) {
  // Two independent masks at rate 1/2 both keep a quarter of n, with deviation sqrt(3 n) / 4. Every shift: a
  // neighbouring key or query, one that shares the words, another head, another sequence.
  const AttentionShape s{2, 203, 3, 1, 4, 0};
  const std::vector<bool> kept = mask_of(s, 0.5, {});
  const auto expect_independent = [&](const std::vector<bool>& other, size_t shift) {
    double both = 0;
    const size_t count = kept.size() - shift;
    for (size_t i = 0; i < count; ++i) both += kept[i] && other[i + shift] ? 1 : 0;
    const auto n = static_cast<double>(count);
    EXPECT_NEAR(both, n / 4, 5 * std::sqrt(3 * n) / 4) << shift;
  };
  for (const size_t shift : {1, 8, 16, 203, 8 * 203, 16 * 203, 8 * 203 + 8, 203 * 203, 3 * 203 * 203})
    expect_independent(kept, shift);
  for (const Key& key : {Key{.seed = 43}, Key{.step = 2}, Key{.first_row = 406}, Key{.stream = 100}})
    expect_independent(mask_of(s, 0.5, key), 0);
}

}  // namespace
}  // namespace lethe::test
