// Holds a solver to numpy's spectra (tests/golden/spectra.json).
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/spectrum/analyse.h"

namespace lethe {

inline void expect_numpys_spectra(SvdSolver& solver) {
  std::ifstream file(LETHE_SOURCE_DIR "/tests/golden/spectra.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 3u);
  for (const nlohmann::json& c : cases) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    const auto base = c.at("base").get<std::vector<double>>(),
               tuned = c.at("tuned").get<std::vector<double>>();
    const auto expected = c.at("singular_values").get<std::vector<double>>();
    const ChangeAnalysis found =
        analyse_change(c.at("rows"), c.at("columns"), base.data(), tuned.data(), solver);
    ASSERT_EQ(found.singular_values.size(), expected.size());
    // Both are backward stable: some sides (25) times epsilon times the greatest value, 1e-13 at most here.
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(found.singular_values[i], expected[i], 1e-12 * expected[0]) << i;
    EXPECT_EQ(found.rank90, c.at("rank90").get<int64_t>());
    EXPECT_NEAR(found.stable_rank, c.at("stable_rank").get<double>(), 1e-11);
    EXPECT_NEAR(found.effective_rank, c.at("effective_rank").get<double>(), 1e-10);
    EXPECT_NEAR(found.frobenius, c.at("frobenius").get<double>(), 1e-12);
    EXPECT_NEAR(found.relative_change, c.at("relative_change").get<double>(), 1e-12);
    EXPECT_EQ(found.intruder_dimensions, c.at("intruder_dimensions").get<int64_t>());
  }
}

}  // namespace lethe
