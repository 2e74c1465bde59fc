// The choice benchmarks of MosaicML's Eval Gauntlet, from its own files or from the official ones, of which
// the same rows are made. Shots are those of its versions 0.2 and 0.3.
#include <algorithm>

#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

ChoiceExample row(std::string_view query, std::vector<std::string> choices, int64_t gold) {
  return {
      .contexts = {std::string(strip(query))}, .continuations = choices, .choices = choices, .gold = gold};
}

bool is_own(const JsonPlace& document) {
  return document.find("query").has_value();
}

ChoiceExample own_row(const JsonPlace& document) {
  const std::vector<std::string> choices = texts_of(document.at("choices"));
  if (choices.empty()) document.at("choices").refuse("is empty");
  return row(document.at("query").string(), choices, document.at("gold").integer(0, std::ssize(choices) - 1));
}

ChoiceExample hellaswag_row(const JsonPlace& document) {
  if (is_own(document)) return own_row(document);
  const ChoiceExample official = hellaswag().example(document);
  return row(official.contexts[0], official.choices, official.gold);
}

// The gauntlet's files take the numbers of numbered choices to count from 0, and have four choices
// everywhere: a wrong one twice, or one less. Both are kept, for equal scores.
ChoiceExample arc_row(const JsonPlace& document) {
  if (is_own(document)) return own_row(document);
  const ChoiceExample official = arc_challenge().example(document);
  std::vector<std::string> choices = official.choices;
  int64_t gold = official.gold;
  const char key = document.at("answerKey").string()[0];
  if (key >= '0' && key <= '9') gold = std::min(gold + 1, std::ssize(choices) - 1);
  if (choices.size() == 3) {
    const std::string wrong = choices[gold == 1 ? 0 : 1];
    choices.insert(choices.begin(), wrong);
    ++gold;
  } else if (choices.size() == 5 && gold == 4) {
    choices.erase(choices.begin());
    --gold;
  } else if (choices.size() == 5) {
    choices.pop_back();
  } else if (choices.size() != 4) {
    document.at("choices").refuse("must be 3 to 5 choices");
  }
  return row("Question: " + document.at("question").string(), choices, gold);
}

ChoiceExample piqa_row(const JsonPlace& document) {
  if (is_own(document)) return own_row(document);
  std::vector<std::string> choices;
  for (const char* key : {"sol1", "sol2"}) choices.emplace_back(strip(document.at(key).string()));
  return row("Question: " + document.at("goal").string(), choices, integer_of(document.at("label"), 0, 1));
}

ChoiceExample openbookqa_row(const JsonPlace& document) {
  if (is_own(document)) return own_row(document);
  const ChoiceExample official = openbookqa().example(document);
  return row(official.contexts[0], official.choices, official.gold);
}

// Of one continuation after several contexts.
ChoiceExample winogrande_row(const JsonPlace& document) {
  ChoiceExample made;
  if (const auto options = document.find("context_options")) {
    made.contexts = texts_of(*options);
    if (made.contexts.empty()) options->refuse("is empty");
    made.continuations = {std::string(strip(document.at("continuation").string()))};
    made.gold = document.at("gold").integer(0, std::ssize(made.contexts) - 1);
  } else {
    made = winogrande().example(document);
    made.continuations = {std::string(strip(made.continuations[0]))};
  }
  made.choices = made.contexts;
  return made;
}

ChoiceTask task(ChoiceTask like, const std::string& own_file, ChoiceExample (*example)(const JsonPlace&),
                GauntletRules rules) {
  like.files.insert(like.files.begin(), own_file);
  like.shot_files.clear();
  like.draws_spare = false;
  like.acc_norm = false;
  like.gauntlet = std::move(rules);
  like.example = example;
  return like;
}

}  // namespace

const std::vector<ChoiceTask>& gauntlet_tasks() {
  static const std::string answer = "\nAnswer: ";
  static const std::vector<ChoiceTask> tasks = {
      task(hellaswag(), "hellaswag.jsonl", hellaswag_row, {" ", 0, 0.25}),
      task(arc_challenge(), "arc_challenge.jsonl", arc_row, {answer, 3, 0.25}),
      task(arc_easy(), "arc_easy.jsonl", arc_row, {answer, 3, 0.25}),
      task(winogrande(), "winogrande.jsonl", winogrande_row, {" ", 5, 0.5}),
      task(piqa(), "piqa.jsonl", piqa_row, {answer, 0, 0.5}),
      task(openbookqa(), "openbook_qa.jsonl", openbookqa_row, {" ", 10, 0.25})};
  return tasks;
}

}  // namespace lethe::eval
