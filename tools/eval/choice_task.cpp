#include "tools/eval/choice_task.h"

#include "tools/eval/python_text.h"

namespace lethe::eval {

std::string ChoiceExample::shot() const {
  const auto right = static_cast<size_t>(gold);
  // An example without an answer takes the separators with it.
  if (contexts.size() == 1 && choices[right].empty()) return contexts[0];
  return context(right) + continuation(right) + "\n\n";
}

std::string GauntletRules::solved(const ChoiceExample& example) const {
  const auto right = static_cast<size_t>(example.gold);
  return example.context(right) + delimiter + example.continuation(right);
}

std::string GauntletRules::asked(const ChoiceExample& example, size_t choice) const {
  return std::string(example.context(choice)).append(rstrip(delimiter));
}

}  // namespace lethe::eval
