// What the programs that adapters are made for will not load, or would load and compute otherwise.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace lethe {

struct LintFinding {
  std::string target;  // peft, vllm, llama.cpp
  std::string key;     // of adapter_config.json
  std::string value;
  std::string outcome;  // "not loaded" or "computes otherwise"
  std::string why;
};

const std::vector<std::string>& lint_targets();

// `adapter`: the content of an adapter_config.json. model: of its base, if known. Throws UsageError-like
// RequestError for a target that is none of lint_targets().
std::vector<LintFinding> lint_adapter(const nlohmann::json& adapter, const std::optional<LlamaConfig>& model,
                                      const std::vector<std::string>& targets);

}  // namespace lethe
