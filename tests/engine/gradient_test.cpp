// Every operation's gradient against central differences in double.
#include <gtest/gtest.h>

#include "tests/engine/op_cases.h"

namespace lethe::test {
namespace {

class Gradient : public testing::TestWithParam<OpCase> {};

// The fourth-order difference with a step h of 1e-3 of the values' size errs by about h^4 = 1e-12 times a
// fifth derivative plus 1e-16 / h = 1e-13 relative to the loss; 1e-6 leaves room for a loss a million times
// its gradient's size, no more.
TEST_P(Gradient, MatchesCentralDifferences) {
  EXPECT_LT(gradient_error(GetParam()), 1e-6);
}

class Threads : public testing::TestWithParam<OpCase> {};

TEST_P(Threads, DoNotChangeABit) {
  const auto run = [&](int threads) {
    BuiltCase built = build_case(GetParam(), DType::f32, threads);
    built.session->run(0);
    std::vector<float> all = built.session->get<float>("loss");
    for (const std::string& name : built.parameters) {
      if (built.session->state().find(State::gradient_name(name)) < 0) continue;
      const auto g = built.session->get<float>(State::gradient_name(name));
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  };
  const auto one = run(1);
  EXPECT_EQ(one, run(2));
  EXPECT_EQ(one, run(4));
}

std::string name_of_case(const testing::TestParamInfo<OpCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Op, Gradient, testing::ValuesIn(all_op_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Op, Threads, testing::ValuesIn(all_op_cases()), name_of_case);

}  // namespace
}  // namespace lethe::test
