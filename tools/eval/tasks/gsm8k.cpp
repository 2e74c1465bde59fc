// GSM8K (Cobbe et al. 2021): grade-school problems in words, solved step by step.
#include "tools/eval/gsm8k_answer.h"
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

std::string question(const JsonPlace& document) {
  return "Question: " + document.at("question").string() + "\nAnswer:";
}

std::string shot(const JsonPlace& document) {
  return question(document) + " " + document.at("answer").string() + "\n\n";
}

double equal(const std::string& found, const std::string& wanted) {
  return comparable(found) == comparable(wanted) ? 1 : 0;
}

Verdict judge(const JsonPlace& document, const std::string& text, const PythonOptions&) {
  const std::string wanted = document.at("answer").string(), strict = strict_answer(text);
  return {{equal(strict, wanted), equal(flexible_answer(text), wanted)}, strict};
}

Verdict judge_of_old(const JsonPlace& document, const std::string& text, const PythonOptions&) {
  const std::string wanted = document.at("answer").string(), strict = strict_answer(text);
  return {{comparable_with_full_stop(strict) == comparable_with_full_stop(wanted) ? 1.0 : 0.0}, strict};
}

std::string spoken_question(const JsonPlace& document) {
  return "Q: " + document.at("question").string() + "\nA:";
}

std::string spoken_shot(const JsonPlace& document) {
  return spoken_question(document) + " " + document.at("target").string() + "\n\n";
}

Verdict judge_spoken(const JsonPlace& document, const std::string& text, const PythonOptions&) {
  const std::string answer = document.at("answer").string(), strict = strict_spoken_answer(text);
  // What follows the mark.
  const size_t mark = answer.rfind("####");
  const std::string wanted(strip(std::string_view(answer).substr(mark == answer.npos ? 0 : mark + 4)));
  return {{equal(strict, wanted), equal(flexible_answer(text), wanted)}, strict};
}

}  // namespace

GenerationTask gsm8k() {
  return {.name = "gsm8k",
          .purpose = "problems in words, 5 solved before each",
          .files = {"gsm8k_test.jsonl"},
          .shot_files = {"gsm8k_train.jsonl"},
          .shots = 5,
          .question = question,
          .shot = shot,
          .stops = {"Question:", "</s>", "<|im_end|>"},
          .metrics = {"strict", "flexible"},
          .judge = judge};
}

GenerationTask gsm8k_v040() {
  GenerationTask task = gsm8k();
  task.name = "gsm8k_v0.4.0";
  task.purpose = "the same by the rules of lm-eval's tags v0.4.0 and v0.4.1: ends at a blank line";
  task.stops = {"\n\n", "Question:"};
  task.metrics = {"strict"};
  task.judge = judge_of_old;
  return task;
}

GenerationTask gsm8k_cot() {
  return {.name = "gsm8k_cot",
          .purpose = "the same after 8 fixed chains of thought, {\"question\", \"target\"} a line",
          .files = {"gsm8k_test.jsonl"},
          .shot_files = {"gsm8k_cot_shots.jsonl"},
          .shots = 8,
          .first_shots = true,
          .question = spoken_question,
          .shot = spoken_shot,
          .stops = {"Q:", "</s>", "<|im_end|>"},
          .metrics = {"strict", "flexible"},
          .judge = judge_spoken};
}

}  // namespace lethe::eval
