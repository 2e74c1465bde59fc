// MMLU (Hendrycks et al. 2021): 57 subjects, answered by a letter. Examples are the first of the subject's
// own development questions.
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

constexpr size_t kChoices = 4;

ChoiceExample example(const JsonPlace& document) {
  ChoiceExample made;
  made.header = "The following are multiple choice questions (with answers) about " +
                replaced(document.at("subject").string(), "_", " ") + ".\n\n";
  std::string text(strip(document.at("question").string()));
  const std::vector<std::string> answers = texts_of(document.at("choices"));
  if (answers.size() != kChoices) document.at("choices").refuse("must be four texts");
  for (size_t i = 0; i < kChoices; ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    text += "\n" + letter + ". " + answers[i];
    made.choices.push_back(letter);
    made.continuations.push_back(" " + letter);
  }
  made.contexts = {text + "\nAnswer:"};
  made.gold = integer_of(document.at("answer"), 0, kChoices - 1);
  return made;
}

}  // namespace

ChoiceTask mmlu() {
  return {.name = "mmlu",
          .purpose = "knowledge of 57 subjects, 4 choices by letter",
          .files = {"mmlu_test.jsonl"},
          .shot_files = {"mmlu_dev.jsonl"},
          .first_shots = true,
          .group_key = "subject",
          .acc_norm = false,
          .example = example};
}

}  // namespace lethe::eval
