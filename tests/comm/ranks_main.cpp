// Runs all tests on every rank. One rank tells how they go, the others what failed.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/comm/launch.h"
#include "engine/log.h"
#include "tests/comm/ranks.h"

namespace lethe::test {
namespace {

std::shared_ptr<Comm> all_ranks;

class Failures final : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", ranks().rank(), result.file_name(), result.line_number(),
                 result.message());
  }
};

}  // namespace

Comm& ranks() {
  return *all_ranks;
}

}  // namespace lethe::test

// --ranks=N: how many there must be, so that a launcher which starts lone processes is found out.
int main(int count, char** values) {
  using namespace lethe;
  testing::InitGoogleTest(&count, values);
  test::all_ranks = make_comm(find_launched());
  const std::string asked = count > 1 ? values[1] : "";
  if (asked != "--ranks=" + std::to_string(test::ranks().world())) {
    std::fprintf(stderr, "%d ranks, and the argument is \"%s\"\n", test::ranks().world(), asked.c_str());
    return 1;
  }
  log::set_silent(true);
  if (test::ranks().rank() != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new test::Failures);
  }
  // A test that leaves one rank early would have the others wait for it for ever: it ends them all.
  const int status = RUN_ALL_TESTS();
  if (status != 0) test::ranks().end_all(status);
  test::all_ranks.reset();
  return status;
}
