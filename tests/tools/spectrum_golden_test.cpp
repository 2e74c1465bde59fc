// The analysis of a change against numpy's SVD (tests/golden/make_spectra.py), and against matrices whose
// answers are known.
#include "tests/tools/spectrum_golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/spectrum/analyse.h"
#include "tools/spectrum/spectrum.h"

namespace lethe {
namespace {

TEST(SpectrumGolden, LapacksIsNumpys) {
  const auto solver = lapack_solver();
  expect_numpys_spectra(*solver);
}

TEST(SpectrumGolden, EffectiveRankCountsEqualDirections) {
  EXPECT_DOUBLE_EQ(effective_rank({3, 3, 3, 3}), 4) << "the entropy of four equal shares is ln 4";
  EXPECT_DOUBLE_EQ(effective_rank({5, 0, 0}), 1);
  // Shares 1/2, 1/4, 1/4: an entropy of 1.5 bits.
  EXPECT_DOUBLE_EQ(effective_rank({2, 1, 1}), std::exp2(1.5));
  EXPECT_EQ(effective_rank({}), 0);
  EXPECT_EQ(effective_rank({0, 0}), 0);
  EXPECT_DOUBLE_EQ(effective_rank({2e-200, 1e-200, 1e-200}), std::exp2(1.5)) << "scale does not matter";
}

TEST(SpectrumGolden, AHandMadeChangeIsAnalysedWhole) {
  // Base diag(4, 3, 2, 1); the change adds 1 at (0, 0) and 2 at (1, 1): its values are 2, 1, 0, 0.
  std::vector<double> base(16, 0), tuned;
  for (int i = 0; i < 4; ++i) base[static_cast<size_t>(5 * i)] = 4 - i;
  tuned = base;
  tuned[0] += 1;
  tuned[5] += 2;
  const ChangeAnalysis found = analyse_change(4, 4, base.data(), tuned.data(), *lapack_solver());
  ASSERT_EQ(found.singular_values.size(), 4u);
  EXPECT_NEAR(found.singular_values[0], 2, 1e-15);
  EXPECT_NEAR(found.singular_values[1], 1, 1e-15);
  EXPECT_EQ(found.rank90, 2) << "4 of 5 is less than 90%";
  EXPECT_NEAR(found.stable_rank, 1.25, 1e-14);
  // Shares 2/3 and 1/3.
  EXPECT_NEAR(found.effective_rank, std::exp(2.0 / 3 * std::log(1.5) + std::log(3.0) / 3), 1e-13);
  EXPECT_NEAR(found.frobenius, std::sqrt(5.0), 1e-14);
  EXPECT_NEAR(found.relative_change, std::sqrt(5.0 / 30), 1e-14);
  EXPECT_EQ(found.intruder_dimensions, 0) << "the axes were the base's directions already";
}

TEST(SpectrumGolden, ATurnedDirectionIsAnIntruderBelowItsCosine) {
  // The base has the axes of the first three coordinates alone (columns 3); the tuned matrix's greatest
  // direction leans half (cosine 1/2) on the first axis, the rest on a coordinate that the base did not use.
  const int64_t rows = 4, columns = 3;
  const std::vector<double> base{3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0};
  const double c = 0.5, s = std::sqrt(0.75);
  const std::vector<double> tuned{9 * c, 0, 0, 0, 2, 0, 0, 0, 1, 9 * s, 0, 0};
  EXPECT_EQ(intruder_dimensions(rows, columns, base.data(), tuned.data(), 3, 0.51), 1);
  EXPECT_EQ(intruder_dimensions(rows, columns, base.data(), tuned.data(), 3, 0.49), 0);
}

TEST(SpectrumGolden, NothingThatIsNoNumberIsAnalysed) {
  std::vector<double> base(6, 1), tuned(6, 1);
  tuned[4] = INFINITY;
  EXPECT_THROW(analyse_change(2, 3, base.data(), tuned.data(), *lapack_solver()), RunError);
  EXPECT_EQ(analyse_change(2, 3, base.data(), base.data(), *lapack_solver()).rank90, 0) << "no change";
}

}  // namespace
}  // namespace lethe
