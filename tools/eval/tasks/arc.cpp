// AI2 Reasoning Challenge (Clark et al. 2018): questions of school exams.
#include <algorithm>

#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

ChoiceExample example(const JsonPlace& document) {
  ChoiceExample made;
  made.contexts = {"Question: " + document.at("question").string() + "\nAnswer:"};
  made.choices = texts_of(document.at("choices").at("text"));
  for (const std::string& choice : made.choices) made.continuations.push_back(" " + choice);
  // Labels are letters or numbers: the key is looked for, not mapped.
  const std::vector<std::string> labels = texts_of(document.at("choices").at("label"));
  const JsonPlace key = document.at("answerKey");
  made.gold = std::ranges::find(labels, key.string()) - labels.begin();
  if (made.gold >= std::ssize(made.choices)) key.refuse("is no label of a choice: " + key.string());
  return made;
}

ChoiceTask task(const std::string& name, const std::string& purpose) {
  return {.name = name,
          .purpose = purpose,
          .files = {name + "_test.jsonl"},
          .shot_files = {name + "_train.jsonl"},
          .example = example};
}

}  // namespace

ChoiceTask arc_challenge() {
  return task("arc_challenge", "school exams' questions that look-up does not answer");
}
ChoiceTask arc_easy() {
  return task("arc_easy", "the others of them");
}

}  // namespace lethe::eval
