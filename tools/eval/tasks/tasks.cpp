#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {

const std::vector<ChoiceTask>& choice_tasks() {
  static const std::vector<ChoiceTask> tasks = {hellaswag(), arc_challenge(), arc_easy(), winogrande(),
                                                piqa(),      openbookqa(),    mmlu()};
  return tasks;
}

const std::vector<TextTask>& text_tasks() {
  static const std::vector<TextTask> tasks = {wikitext()};
  return tasks;
}

const std::vector<GenerationTask>& generation_tasks() {
  static const std::vector<GenerationTask> tasks = {gsm8k(),     gsm8k_v040(),         gsm8k_cot(),
                                                    humaneval(), humaneval_instruct(), mbpp()};
  return tasks;
}

}  // namespace lethe::eval
