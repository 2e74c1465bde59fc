// OpenBookQA (Mihaylov et al. 2018): elementary science and common sense, without the book.
#include <algorithm>

#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

ChoiceExample example(const JsonPlace& document) {
  ChoiceExample made;
  made.contexts = {document.at("question_stem").string()};
  made.choices = texts_of(document.at("choices").at("text"));
  for (const std::string& choice : made.choices) made.continuations.push_back(" " + choice);
  const std::vector<std::string> labels = texts_of(document.at("choices").at("label"));
  const JsonPlace key = document.at("answerKey");
  made.gold = std::ranges::find(labels, lstrip(key.string())) - labels.begin();
  if (made.gold >= std::ssize(made.choices)) key.refuse("is no label of a choice: " + key.string());
  return made;
}

}  // namespace

ChoiceTask openbookqa() {
  return {.name = "openbookqa",
          .purpose = "elementary science, 4 choices",
          .files = {"openbookqa_test.jsonl"},
          .shot_files = {"openbookqa_train.jsonl"},
          .example = example};
}

}  // namespace lethe::eval
