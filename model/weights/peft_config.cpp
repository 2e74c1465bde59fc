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
    "alpha_pattern",     "base_model_name_or_path",
    "eva_config",        "exclude_modules",
    "inference_mode",    "init_lora_weights",
    "layers_pattern",    "layers_to_transform",
    "lora_alpha",        "lora_dropout",
    "megatron_core",     "modules_to_save",
    "peft_type",         "peft_version",
    "qalora_group_size", "r",
    "rank_pattern",      "revision",
    "target_modules",    "task_type",
    "use_dora",          "use_rslora",
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

// Those of the seven maps in the model's order, then the others in their own.
std::vector<std::string> in_order(const std::vector<std::string>& given) {
  std::vector<std::string> ordered;
  for (const std::string& target : lora_targets()) {
    if (std::ranges::find(given, target) != given.end()) ordered.push_back(target);
  }
  for (const std::string& name : given) {
    if (std::ranges::find(ordered, name) == ordered.end()) ordered.push_back(name);
  }
  return ordered;
}

// The two ways to write a target that mean the same in every layer are kept as one: "self_attn.q_proj" is
// "q_proj". Anything else stays as it is.
std::string target_of(const std::string& text) {
  for (const std::string& target : lora_targets()) {
    const bool in_attention =
        target == "q_proj" || target == "k_proj" || target == "v_proj" || target == "o_proj";
    if (text == (in_attention ? "self_attn." : "mlp.") + target) return target;
  }
  return text;
}

std::vector<std::string> texts_of(const ConfigReader& config, const char* key) {
  std::vector<std::string> texts;
  const json* value = config.find(key);
  if (value == nullptr) return texts;
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) config.refuse(key, "is neither a name nor a list of names");
  for (const json& entry : *value) {
    if (!entry.is_string()) config.refuse(key, fmt::format("holds {}, which is no name", short_text(entry)));
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

void parse_targets(const ConfigReader& config, LoraConfig& lora) {
  const json* value = config.find("target_modules");
  lora.target_modules = {"q_proj", "v_proj"};  // PEFT's default for this family
  if (value == nullptr) return;
  std::vector<std::string> given = texts_of(config, "target_modules");
  if (value->is_string()) {
    std::string text = given[0];
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    if (text == "all-linear") {
      lora.target_modules = lora_targets();
    } else {
      lora.target_modules.clear();
      lora.target_expression = given[0];
    }
    return;
  }
  if (given.empty()) config.refuse("target_modules", "is not a list of names");
  for (std::string& entry : given) entry = target_of(entry);
  lora.target_modules = in_order(given);
}

std::vector<int64_t> parse_layers(const ConfigReader& config) {
  const char* key = "layers_to_transform";
  const json* value = config.find(key);
  if (value == nullptr) return {};
  std::vector<int64_t> layers;
  for (const json& entry : value->is_array() ? *value : json::array({*value})) {
    if (!entry.is_number_integer() || entry < 0)
      config.refuse(key, "is neither a layer nor a list of layers");
    layers.push_back(entry.get<int64_t>());
  }
  return layers;
}

// The order in the file decides, which nlohmann::json does not keep.
template <class T>
std::vector<std::pair<std::string, T>> parse_pattern(const ConfigReader& config, const std::string& text,
                                                     const char* key) {
  std::vector<std::pair<std::string, T>> pattern;
  if (config.find(key) == nullptr) return pattern;
  const auto ordered = nlohmann::ordered_json::parse(text).at(key);
  if (!ordered.is_object()) config.refuse(key, "is no object of expressions and numbers");
  for (const auto& [expression, value] : ordered.items()) {
    const bool fits = std::is_same_v<T, double> ? value.is_number() : value.is_number_integer();
    if (!fits || value <= 0) config.refuse(key, "holds a value that is not above 0");
    pattern.emplace_back(expression, value.template get<T>());
  }
  return pattern;
}

template <class T>
nlohmann::ordered_json pattern_json(const std::vector<std::pair<std::string, T>>& pattern) {
  auto made = nlohmann::ordered_json::object();
  for (const auto& [expression, value] : pattern) made[expression] = value;
  return made;
}

// A double that is whole is written as an integer: PEFT declares lora_alpha an int; a fraction is written as
// it is and read all the same.
nlohmann::ordered_json number_json(double value) {
  if (value == std::floor(value) && value < 1e15) return static_cast<int64_t>(value);
  return value;
}

template <class T>
nlohmann::ordered_json list_or_null(const std::vector<T>& list) {
  return list.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(list);
}

nlohmann::ordered_json names_json(const std::vector<std::string>& list, const std::string& expression) {
  return expression.empty() ? list_or_null(list) : nlohmann::ordered_json(expression);
}

}  // namespace

LoraConfig parse_lora_config(const std::string& path) {
  const std::string text = read_text(path);
  const json value = parse_json(path, text);
  const ConfigReader config(path, value);
  refuse_set_keys(config, value);
  LoraConfig lora;
  lora.rank = config.whole("r", 1, std::numeric_limits<int32_t>::max()).value_or(8);
  lora.alpha = config.positive("lora_alpha").value_or(8.0);
  lora.dropout = config.number("lora_dropout").value_or(0.0);
  if (lora.dropout < 0 || lora.dropout >= 1) config.refuse("lora_dropout", "is not in [0, 1)");
  lora.use_rslora = config.truth("use_rslora").value_or(false);
  lora.use_dora = config.truth("use_dora").value_or(false);
  parse_targets(config, lora);
  const json* excluded = config.find("exclude_modules");
  const bool expression = excluded != nullptr && excluded->is_string();
  std::vector<std::string> names = texts_of(config, "exclude_modules");
  if (expression) {
    lora.exclude_expression = names[0];
  } else {
    lora.exclude_modules = std::move(names);
  }
  lora.layers_to_transform = parse_layers(config);
  lora.layers_pattern = texts_of(config, "layers_pattern");
  lora.rank_pattern = parse_pattern<int64_t>(config, text, "rank_pattern");
  lora.alpha_pattern = parse_pattern<double>(config, text, "alpha_pattern");
  lora.modules_to_save = texts_of(config, "modules_to_save");
  lora.base_revision = config.text("revision").value_or("");
  lora.base_model_name = config.text("base_model_name_or_path").value_or("");
  const json* init = config.find("init_lora_weights");
  lora.gaussian_init = init != nullptr && *init == json("gaussian");
  return lora;
}

std::string lora_config_text(const LoraConfig& config) {
  using ordered = nlohmann::ordered_json;
  auto alphas = ordered::object();
  for (const auto& [expression, alpha] : config.alpha_pattern) alphas[expression] = number_json(alpha);
  const ordered value = {
      {"alpha_pattern", alphas},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path",
       config.base_model_name.empty() ? ordered(nullptr) : ordered(config.base_model_name)},
      {"bias", "none"},
      {"exclude_modules", names_json(config.exclude_modules, config.exclude_expression)},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", config.gaussian_init ? ordered("gaussian") : ordered(true)},
      {"layers_pattern", list_or_null(config.layers_pattern)},
      {"layers_to_transform", list_or_null(config.layers_to_transform)},
      {"lora_alpha", number_json(config.alpha)},
      {"lora_dropout", config.dropout},
      {"modules_to_save", list_or_null(config.modules_to_save)},
      {"peft_type", "LORA"},
      {"r", config.rank},
      {"rank_pattern", pattern_json(config.rank_pattern)},
      {"revision", config.base_revision.empty() ? ordered(nullptr) : ordered(config.base_revision)},
      {"target_modules", names_json(config.target_modules, config.target_expression)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", config.use_dora},
      {"use_rslora", config.use_rslora},
  };
  return value.dump(2) + "\n";
}

}  // namespace lethe
