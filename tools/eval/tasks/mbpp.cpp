// MBPP (Austin et al. 2021): small Python functions from a sentence and three assertions.
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

// The first three assertions.
std::string tests_of(const JsonPlace& document) {
  std::vector<std::string> tests = texts_of(document.at("test_list"));
  if (tests.size() < 3) document.at("test_list").refuse("has fewer than three assertions");
  return tests[0] + "\n" + tests[1] + "\n" + tests[2];
}

std::string question(const JsonPlace& document) {
  return "You are an expert Python programmer, and here is your task: " + document.at("text").string() +
         " Your code should pass these tests:\n\n" + tests_of(document) + "\n[BEGIN]\n";
}

std::string shot(const JsonPlace& document) {
  return question(document) + document.at("code").string() + "\n[DONE]\n\n";
}

Verdict judge(const JsonPlace& document, const std::string& text, const PythonOptions& python) {
  const PythonVerdict verdict = run_python(text + "\n" + tests_of(document), python);
  return {{verdict.passed ? 1.0 : 0.0}, verdict.result};
}

}  // namespace

GenerationTask mbpp() {
  return {.name = "mbpp",
          .purpose = "500 Python functions after 3 solved ones, run with their tests",
          .files = {"mbpp_test.jsonl"},
          .shot_files = {"mbpp_prompt.jsonl"},
          .shots = 3,
          .first_shots = true,
          .question = question,
          .shot = shot,
          .stops = {"[DONE]"},
          .metrics = {"pass"},
          .runs_programs = true,
          .judge = judge};
}

}  // namespace lethe::eval
