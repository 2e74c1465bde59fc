// Who keeps the state of which parameter.
#include "optim/owners.h"

#include <gtest/gtest.h>

#include "tests/files.h"

namespace lethe::test {
namespace {

// Owners of parameters of these many elements.
std::vector<int> owners(const std::vector<int64_t>& sizes, int world) {
  State state;
  std::vector<int32_t> parameters;
  for (size_t i = 0; i < sizes.size(); ++i)
    parameters.push_back(state.declare({.name = std::to_string(i), .shape = {sizes[i]}}));
  return owners_of(state, parameters, world);
}

TEST(Owners, TakeTheLargestFirstAndTheRankThatHasLeast) {
  EXPECT_EQ(owners({5, 5, 5}, 1), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(owners({1, 8, 4, 4}, 2), (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(owners({3, 3, 3, 3}, 2), (std::vector<int>{0, 1, 0, 1}));
  EXPECT_EQ(owners({0, 0, 9}, 3), (std::vector<int>{1, 2, 0}));
}

TEST(Owners, NeverLeaveARankWithoutAny) {
  expect_parts(message_of<ConfigError>([] {
                 owners({4, 4}, 3);
               }),
               {"distributed.sharding", "2 trained tensors", "3 processes"});
}

}  // namespace
}  // namespace lethe::test
