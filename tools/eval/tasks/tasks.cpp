#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {

const std::vector<ChoiceTask>& choice_tasks() {
  static const std::vector<ChoiceTask> tasks = {hellaswag(), arc_challenge(), arc_easy(), winogrande(),
                                                piqa(),      openbookqa(),    mmlu()};
  return tasks;
}

}  // namespace lethe::eval
