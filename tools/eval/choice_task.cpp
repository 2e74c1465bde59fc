#include "tools/eval/choice_task.h"

namespace lethe::eval {

std::string ChoiceExample::shot() const {
  const auto right = static_cast<size_t>(gold);
  // An example without an answer takes the separators with it.
  if (contexts.size() == 1 && choices[right].empty()) return contexts[0];
  return context(right) + continuation(right) + "\n\n";
}

}  // namespace lethe::eval
