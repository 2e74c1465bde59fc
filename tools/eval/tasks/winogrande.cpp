// WinoGrande (Sakaguchi et al. 2020): whom does the blank stand for? Scored by what follows it alone
// ("partial evaluation", Trinh and Le 2018).
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

ChoiceExample example(const JsonPlace& document) {
  const JsonPlace place = document.at("sentence");
  const std::string& sentence = place.string();
  const size_t blank = sentence.find('_');
  if (blank == sentence.npos) place.refuse("has no blank \"_\"");
  ChoiceExample made;
  for (const char* option : {"option1", "option2"}) {
    made.contexts.push_back(sentence.substr(0, blank) + document.at(option).string());
    made.choices.push_back(made.contexts.back());
  }
  made.continuations = {std::string(" ").append(strip(std::string_view(sentence).substr(blank + 1)))};
  made.gold = integer_of(document.at("answer"), 1, 2) - 1;
  return made;
}

}  // namespace

ChoiceTask winogrande() {
  return {.name = "winogrande",
          .purpose = "whom a pronoun means, 2 choices",
          .files = {"winogrande_dev.jsonl"},
          .shot_files = {"winogrande_train.jsonl"},
          .draws_spare = true,
          .acc_norm = false,
          .example = example};
}

}  // namespace lethe::eval
