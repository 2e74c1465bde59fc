#include "optim/parameter_groups.h"

#include <fmt/format.h>

#include <algorithm>

namespace lethe {
namespace {

bool decays(const PersistentInfo& parameter, const GroupingOptions& options) {
  if (parameter.shape.size() < 2 && !options.decay_vectors) return false;
  return std::ranges::none_of(options.not_decayed, [&](const std::string& part) {
    return parameter.name.find(part) != std::string::npos;
  });
}

double multiplier_of(const PersistentInfo& parameter, const GroupingOptions& options) {
  for (const auto& [part, factor] : options.learning_rate_multipliers) {
    if (parameter.name.find(part) != std::string::npos) return factor;
  }
  return 1;
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(const State& state, const GroupingOptions& options) {
  for (const auto& [part, factor] : options.learning_rate_multipliers) {
    if (!(factor >= 0)) {
      throw ConfigError("optimizer.learning_rate_multipliers",
                        fmt::format("{} for {} is negative", factor, part));
    }
  }
  std::vector<ParameterGroup> groups;
  for (const int32_t index : state.trainable()) {
    const bool decayed = decays(state[index], options);
    const double factor = multiplier_of(state[index], options);
    auto group = std::ranges::find_if(groups, [&](const ParameterGroup& g) {
      return g.decayed == decayed && g.learning_rate_multiplier == factor;
    });
    if (group == groups.end()) group = groups.insert(group, {decayed, factor, {}});
    group->parameters.push_back(index);
  }
  return groups;
}

}  // namespace lethe
