// HumanEval (Chen et al. 2021): the body of a Python function from its head and description.
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

std::string question(const JsonPlace& document) {
  return document.at("prompt").string();
}

std::string program_of(const JsonPlace& document, const std::string& body) {
  return question(document) + body + "\n" + document.at("test").string() + "\ncheck(" +
         document.at("entry_point").string() + ")";
}

Verdict judged(const PythonVerdict& verdict) {
  return {{verdict.passed ? 1.0 : 0.0}, verdict.result};
}

Verdict judge(const JsonPlace& document, const std::string& text, const PythonOptions& python) {
  return judged(run_python(program_of(document, text), python));
}

std::string instruction(const JsonPlace& document) {
  const std::string fenced = "```python\n" + question(document) + "\n```\n";
  return "Write a solution to the following problem and make sure that it passes the tests:\n" + fenced +
         "Here is the completed function:\n```python\n" + question(document) + "\n";
}

Verdict judge_fenced(const JsonPlace& document, const std::string& text, const PythonOptions& python) {
  return judge(document, before_fence(text), python);
}

}  // namespace

std::string before_fence(const std::string& text) {
  return text.substr(0, text.find("```"));
}

GenerationTask humaneval() {
  return {.name = "humaneval",
          .purpose = "164 Python functions, run with their tests",
          .files = {"humaneval.jsonl"},
          .question = question,
          .stops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"},
          .max_new_tokens = 1024,
          .metrics = {"pass"},
          .runs_programs = true,
          .judge = judge};
}

GenerationTask humaneval_instruct() {
  GenerationTask task = humaneval();
  task.name = "humaneval_instruct";
  task.purpose = "the same, asked in words and answered in a fence";
  task.question = instruction;
  task.judge = judge_fenced;
  return task;
}

}  // namespace lethe::eval
