#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/files/json_file.h"
#include "model/config_reader.h"
#include "model/weights/peft.h"

namespace lethe {
namespace {

using nlohmann::json;

// Read below, or of no effect on a trained adapter. eva_config belongs to an initialisation that leaves the
// base alone; qalora_group_size counts only with use_qalora, which is refused when set.
constexpr std::array known_keys = std::to_array<std::string_view>({
    "base_model_name_or_path",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
});
static_assert(std::ranges::is_sorted(known_keys));

bool is_unset(const json& value) {
  return value.is_null() || value == json(false) ||
         ((value.is_array() || value.is_object()) && value.empty()) || value == json("");
}

void refuse_set_keys(const ConfigReader& config, const json& value) {
  for (const auto& [key, item] : value.items()) {
    const bool unset = is_unset(item) || (key == "bias" && item == json("none"));
    if (!unset && !std::ranges::binary_search(known_keys, key))
      config.refuse(key, "is set, which is not supported");
  }
  if (config.text("peft_type").value_or("") != "LORA") config.refuse("peft_type", "is not \"LORA\"");
  const auto task = config.text("task_type");
  if (task && *task != "CAUSAL_LM") config.refuse("task_type", "is not \"CAUSAL_LM\"");

  // The others (pissa, olora, corda, loftq, lora_ga) also changed the base model, which the adapter then
  // needs.
  const json* init = config.find("init_lora_weights");
  const bool plain = init == nullptr || init->is_boolean() || *init == json("gaussian") ||
                     *init == json("eva") || *init == json("orthogonal");
  if (!plain)
    config.refuse("init_lora_weights", "is not supported: such an adapter needs a base that it changed");
}

// An entry of the list selects the modules whose full name is it or ends with "." and it; of those that
// select the same map in every layer there are "q_proj" and "self_attn.q_proj".
std::string target_of(const ConfigReader& config, const json& entry) {
  const std::string text = entry.is_string() ? entry.get<std::string>() : "";
  for (const std::string& target : lora_targets()) {
    const bool in_attention =
        target == "q_proj" || target == "k_proj" || target == "v_proj" || target == "o_proj";
    if (text == target || text == (in_attention ? "self_attn." : "mlp.") + target) return target;
  }
  config.refuse("target_modules", fmt::format("holds {}, which is none of {}", short_text(entry),
                                              fmt::join(lora_targets(), ", ")));
}

std::vector<std::string> parse_targets(const ConfigReader& config) {
  const json* value = config.find("target_modules");
  // PEFT's default for this family.
  if (value == nullptr) return {"q_proj", "v_proj"};
  if (value->is_string()) {
    std::string text = value->get<std::string>();
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    if (text == "all-linear") return lora_targets();
    config.refuse("target_modules", "is a regular expression, which is not supported: list the names");
  }
  if (!value->is_array() || value->empty()) config.refuse("target_modules", "is not a list of names");
  std::vector<std::string> chosen;
  for (const json& entry : *value) chosen.push_back(target_of(config, entry));
  std::vector<std::string> ordered;
  for (const std::string& target : lora_targets()) {
    if (std::ranges::find(chosen, target) != chosen.end()) ordered.push_back(target);
  }
  return ordered;
}

}  // namespace

double LoraConfig::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

const std::vector<std::string>& lora_targets() {
  static const std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                   "gate_proj", "up_proj", "down_proj"};
  return targets;
}

void check_lora_config(const LoraConfig& config) {
  if (config.rank < 1) throw ConfigError("r", fmt::format("{} is below 1", config.rank));
  if (!(config.alpha > 0) || !std::isfinite(config.alpha)) {
    throw ConfigError("lora_alpha", fmt::format("{} is not above 0", config.alpha));
  }
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    throw ConfigError("lora_dropout", fmt::format("{} is not in [0, 1)", config.dropout));
  }
  if (config.target_modules.empty()) throw ConfigError("target_modules", "is empty");
  for (const std::string& target : config.target_modules) {
    const auto count = std::ranges::count(config.target_modules, target);
    if (std::ranges::find(lora_targets(), target) == lora_targets().end()) {
      throw ConfigError("target_modules",
                        fmt::format("'{}' is none of {}", target, fmt::join(lora_targets(), ", ")));
    }
    if (count > 1)
      throw ConfigError("target_modules", fmt::format("'{}' stands there {} times", target, count));
  }
}

LoraConfig parse_lora_config(const std::string& path) {
  const json value = parse_json(path, read_text(path));
  const ConfigReader config(path, value);
  refuse_set_keys(config, value);
  LoraConfig lora;
  lora.rank = config.whole("r", 1, std::numeric_limits<int32_t>::max()).value_or(8);
  lora.alpha = config.positive("lora_alpha").value_or(8.0);
  lora.dropout = config.number("lora_dropout").value_or(0.0);
  if (lora.dropout < 0 || lora.dropout >= 1) config.refuse("lora_dropout", "is not in [0, 1)");
  lora.use_rslora = config.truth("use_rslora").value_or(false);
  lora.target_modules = parse_targets(config);
  lora.base_model_name = config.text("base_model_name_or_path").value_or("");
  return lora;
}

std::string lora_config_text(const LoraConfig& config) {
  // PEFT declares lora_alpha an int; a fraction is written as it is and read all the same.
  const bool whole_alpha = config.alpha == std::floor(config.alpha) && config.alpha < 1e15;
  const json value = {
      {"alpha_pattern", json::object()},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path",
       config.base_model_name.empty() ? json(nullptr) : json(config.base_model_name)},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"lora_alpha", whole_alpha ? json(static_cast<int64_t>(config.alpha)) : json(config.alpha)},
      {"lora_dropout", config.dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.rank},
      {"rank_pattern", json::object()},
      {"revision", nullptr},
      {"target_modules", config.target_modules},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", config.use_rslora},
  };
  return value.dump(2) + "\n";
}

}  // namespace lethe
