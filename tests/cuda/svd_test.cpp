// cuSOLVER's decompositions beside LAPACK's and numpy's.
#include <chrono>
#include <iostream>

#include "engine/rng.h"
#include "tests/cuda/compare.h"
#include "tests/tools/spectrum_golden.h"
#include "tools/spectrum/solver.h"

namespace lethe::test {
namespace {

#define LETHE_NEEDS_CUSOLVER(solver)            \
  LETHE_NEEDS_GPU();                            \
  std::string missing;                          \
  const auto solver = cusolver_solver(missing); \
  if (!solver) GTEST_SKIP() << missing

std::vector<double> noise(int64_t count, uint64_t stream) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = Rng(7, stream).normal(i);
  return values;
}

std::vector<double> product(int64_t rows, int64_t inner, int64_t columns, const std::vector<double>& a,
                            const std::vector<double>& b) {
  std::vector<double> c(static_cast<size_t>(rows * columns), 0.0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t k = 0; k < inner; ++k)
      for (int64_t j = 0; j < columns; ++j)
        c[static_cast<size_t>(i * columns + j)] +=
            a[static_cast<size_t>(i * inner + k)] * b[static_cast<size_t>(k * columns + j)];
  return c;
}

TEST(CudaSvd, IsNumpys) {
  LETHE_NEEDS_CUSOLVER(solver);
  expect_numpys_spectra(*solver);
}

TEST(CudaSvd, VectorsGiveTheMatrixBackAtAwkwardShapes) {
  LETHE_NEEDS_CUSOLVER(solver);
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 7}, {7, 1}, {33, 65}, {65, 33}, {257, 256}}) {
    const std::vector<double> a = noise(rows * columns, 1);
    const Svd svd = solver->decomposition(rows, columns, a.data());
    const int64_t k = std::min(rows, columns);
    ASSERT_EQ(std::ssize(svd.values), k);
    std::vector<double> scaled = svd.right_transposed;
    for (int64_t i = 0; i < k * columns; ++i)
      scaled[static_cast<size_t>(i)] *= svd.values[static_cast<size_t>(i / columns)];
    // A backward stable decomposition errs by a modest multiple of the side (257) times epsilon.
    EXPECT_LT(distance(product(rows, k, columns, svd.left, scaled), a), 1e-12) << rows << " x " << columns;
    EXPECT_LT(distance(solver->values(rows, columns, a.data()), singular_values(rows, columns, a.data())),
              1e-12);
  }
}

// What LoRA makes: the polar way has no inverse there, and must not show it.
TEST(CudaSvd, AMatrixOfLowRankHasNoMoreThanThat) {
  LETHE_NEEDS_CUSOLVER(solver);
  const int64_t rows = 300, columns = 200, rank = 5;
  const std::vector<double> a = product(rows, rank, columns, noise(rows * rank, 2), noise(rank * columns, 3));
  const std::vector<double> found = solver->values(rows, columns, a.data()),
                            expected = singular_values(rows, columns, a.data());
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-11 * expected[0]) << i;
  const std::vector<double> zero(static_cast<size_t>(rows * columns), 0.0);
  for (const double value : solver->values(rows, columns, zero.data())) EXPECT_EQ(value, 0);
}

TEST(CudaSvd, ALargeMatrix) {
  LETHE_NEEDS_CUSOLVER(solver);
  const int64_t side = 1024;
  const std::vector<double> a = noise(side * side, 4);
  solver->values(side, side, a.data());  // the library warms up
  const auto seconds_of = [&](const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<double> found, expected;
  const double gpu = seconds_of([&] { found = solver->values(side, side, a.data()); });
  const double cpu = seconds_of([&] { expected = singular_values(side, side, a.data()); });
  EXPECT_LT(distance(found, expected), 1e-11);
  RecordProperty("cusolver_seconds", std::to_string(gpu));
  RecordProperty("lapack_seconds", std::to_string(cpu));
  std::cout << "cuSOLVER " << gpu << " s, LAPACK " << cpu << " s\n";
}

}  // namespace
}  // namespace lethe::test
