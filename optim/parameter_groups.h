// Which parameters decay, and at which learning rate each is trained.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/state.h"

namespace lethe {

struct GroupingOptions {
  // Gains of norms and biases are vectors; decaying them towards zero is rarely meant.
  bool decay_vectors = false;
  // Parameters whose name contains one of these do not decay either, such as "embed_tokens".
  std::vector<std::string> not_decayed;
  // (part of a name, factor on the learning rate): the first that fits; such as {"lora_B", 16} (LoRA+, Hayou
  // et al. 2024).
  std::vector<std::pair<std::string, double>> learning_rate_multipliers;
};

struct ParameterGroup {
  bool decayed = true;
  double learning_rate_multiplier = 1;
  std::vector<int32_t> parameters;  // State indices, in order
};

// Every trainable tensor of the state in exactly one group; groups in order of their first parameter. Throws
// ConfigError for a negative multiplier.
std::vector<ParameterGroup> parameter_groups(const State& state, const GroupingOptions& options = {});

}  // namespace lethe
