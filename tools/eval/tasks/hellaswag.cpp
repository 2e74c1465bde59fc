// HellaSwag (Zellers et al. 2019): how does the scene go on?
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

// What matches \[.*?\]: from a bracket to the next closing one, if no line ends between them.
std::string without_tags(const std::string& text) {
  std::string made;
  for (size_t i = 0; i < text.size();) {
    const size_t end = text[i] == '[' ? text.find_first_of("]\n", i) : text.npos;
    if (end != text.npos && text[end] == ']') {
      i = end + 1;
    } else {
      made += text[i++];
    }
  }
  return made;
}

ChoiceExample example(const JsonPlace& document) {
  ChoiceExample made;
  made.contexts = {hellaswag_query(document.at("activity_label").string(), document.at("ctx_a").string(),
                                   document.at("ctx_b").string())};
  for (const std::string& ending : texts_of(document.at("endings"))) {
    made.choices.push_back(hellaswag_text(ending));
    made.continuations.push_back(" " + made.choices.back());
  }
  made.gold = integer_of(document.at("label"), 0, static_cast<int64_t>(made.size()) - 1);
  return made;
}

}  // namespace

std::string hellaswag_text(const std::string& text) {
  const std::string titled = replaced(strip(text), " [title]", ". ");
  return replaced(without_tags(titled), "  ", " ");
}

std::string hellaswag_query(const std::string& activity_label, const std::string& ctx_a,
                            const std::string& ctx_b) {
  return hellaswag_text(activity_label + ": " + ctx_a + " " + capitalize(ctx_b));
}

ChoiceTask hellaswag() {
  return {.name = "hellaswag",
          .purpose = "how a scene goes on, 4 endings",
          .files = {"hellaswag_val.jsonl"},
          .shot_files = {"hellaswag_train.jsonl"},
          .draws_spare = true,
          .example = example};
}

}  // namespace lethe::eval
