// HumanEval's own solutions, and the same broken.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tools/sandbox/python_program.h"

namespace lethe::test {
namespace {

// Whether each program passes, on all cores.
std::vector<char> passed(const std::vector<std::string>& programs) {
  std::vector<char> results(programs.size(), 0);
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < programs.size(); i = next++)
        results[i] = run_python(programs[i]).passed ? 1 : 0;
    });
  }
  for (std::thread& t : threads) t.join();
  return results;
}

TEST(HumanEval, CanonicalSolutionsPassAndBrokenOnesFail) {
  const std::string file = LETHE_SHARED_DATA "/eval/humaneval.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  if (const std::string why = sandbox_refusal(); !why.empty()) GTEST_SKIP() << why;
  std::vector<std::string> good, broken;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json task = nlohmann::json::parse(line);
    const auto text = [&](const char* key) { return task.at(key).get<std::string>(); };
    const std::string tests = fmt::format("\n{}\ncheck({})", text("test"), text("entry_point"));
    good.push_back(text("prompt") + text("canonical_solution") + tests);
    broken.push_back(text("prompt") + "    return NotImplemented\n" + tests);
  }
  ASSERT_EQ(good.size(), 164u);
  EXPECT_EQ(passed(good), std::vector<char>(164, 1));
  EXPECT_EQ(passed(broken), std::vector<char>(164, 0));
}

}  // namespace
}  // namespace lethe::test
