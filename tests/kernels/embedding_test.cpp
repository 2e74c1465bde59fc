#include "kernels/embedding.h"

#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

using kernels::Write;

class Embedding : public KernelTest {};

std::vector<int32_t> ids_of(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> ids;
  const Rng rng(5, 5);
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(
        static_cast<int32_t>(rng.below(static_cast<uint64_t>(i), static_cast<uint64_t>(vocabulary))));
  return ids;
}

template <class Table, class Y>
void expect_gathers(int64_t vocabulary, int64_t width, int64_t count) {
  const Matrix<Table> table(vocabulary, width, width + 2, 1);
  Matrix<Y> y(count, width, width + 1);
  const auto ids = ids_of(count, vocabulary);
  kernels::cpu::embedding<Table, Y>(table.view(), ids.data(), y.rows());
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < width; ++c) {
      const auto expected = static_cast<Y>(static_cast<compute_t<Y>>(table(ids[static_cast<size_t>(i)], c)));
      ASSERT_EQ(y(i, c), to_double(expected));
    }
  }
  EXPECT_TRUE(y.padding_untouched());
}

TEST_F(Embedding, IsTheTablesRow) {
  expect_gathers<double, double>(5, 7, 9);
  expect_gathers<float, float>(300, 1025, 70);
  expect_gathers<float, bf16>(3, 1, 4);
  expect_gathers<bf16, float>(3, 65, 4);
  expect_gathers<bf16, bf16>(3, 64, 0);
}

template <class DY, class DTable>
Matrix<DTable> scatter(const Matrix<DY>& dy, const std::vector<int32_t>& ids, const Matrix<DTable>& before,
                       int32_t padding_id, Write write, int threads) {
  const Threads team(threads);
  Matrix<DTable> dtable = before;
  kernels::cpu::embedding_backward<DY, DTable>(dy.view(), ids.data(), padding_id, dtable.rows(), write);
  return dtable;
}

// The kernel's order is part of its meaning, so the same additions in the same order give the same bits.
template <class DY, class DTable>
void expect_scatters(int64_t vocabulary, int64_t width, int64_t count, int32_t padding_id) {
  const auto ids = ids_of(count, vocabulary);
  const Matrix<DY> dy(count, width, width + 1, 2);
  const Matrix<DTable> before(vocabulary, width, width + 3, 3);
  for (const Write write : {Write::overwrite, Write::accumulate}) {
    Matrix<DTable> expected = before;
    for (int64_t c = 0; c < width; ++c) {
      for (int64_t v = 0; v < vocabulary && write == Write::overwrite; ++v) expected.at(v, c) = DTable{};
      for (int64_t i = 0; i < count; ++i) {
        const int32_t id = ids[static_cast<size_t>(i)];
        if (id != padding_id)
          kernels::put(expected.at(id, c), static_cast<compute_t<DTable>>(dy(i, c)), Write::accumulate);
      }
    }
    for (const int threads : {1, 2, 4}) {
      EXPECT_TRUE(scatter(dy, ids, before, padding_id, write, threads).same_bits(expected));
    }
  }
}

TEST_F(Embedding, GradientAddsTokensInOrderOnAnyNumberOfThreads) {
  expect_scatters<double, double>(5, 7, 40, -1);
  expect_scatters<float, float>(11, 1025, 200, 3);
  expect_scatters<bf16, float>(11, 65, 200, 0);
  expect_scatters<bf16, bf16>(4, 130, 9, -1);
  expect_scatters<float, bf16>(4, 64, 9, -1);
  expect_scatters<float, float>(4, 3, 0, -1);
}

TEST_F(Embedding, FindsTheFirstIdOutsideTheTable) {
  const std::vector<int32_t> ids{0, 4, 5, -1};
  EXPECT_EQ(kernels::cpu::first_invalid_id(ids.data(), 4, 6), 3);
  EXPECT_EQ(kernels::cpu::first_invalid_id(ids.data(), 4, 5), 2);
  EXPECT_EQ(kernels::cpu::first_invalid_id(ids.data(), 3, 6), -1);
  EXPECT_EQ(kernels::cpu::first_invalid_id(ids.data(), 0, 0), -1);
}

}  // namespace
}  // namespace lethe::test
