// PIQA (Bisk et al. 2020): which of two ways reaches a practical goal?
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

ChoiceExample example(const JsonPlace& document) {
  ChoiceExample made;
  made.contexts = {"Question: " + document.at("goal").string() + "\nAnswer:"};
  made.choices = {document.at("sol1").string(), document.at("sol2").string()};
  for (const std::string& choice : made.choices) made.continuations.push_back(" " + choice);
  made.gold = integer_of(document.at("label"), 0, 1);
  return made;
}

}  // namespace

ChoiceTask piqa() {
  return {.name = "piqa",
          .purpose = "how to reach a practical goal, 2 ways",
          .files = {"piqa_val.jsonl"},
          .shot_files = {"piqa_train.jsonl"},
          .draws_spare = true,
          .example = example};
}

}  // namespace lethe::eval
