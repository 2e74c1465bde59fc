// Which modules a PEFT configuration means, and whether they can be what it asks for.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/error.h"
#include "model/weights/names.h"
#include "model/weights/peft.h"
#include "model/weights/python_expression.h"

namespace lethe {
namespace {

using Names = std::vector<std::string>;

// The name itself, or its end from a "." on.
bool names_module(const std::string& entry, const std::string& module) {
  return module == entry || module.ends_with("." + entry);
}

bool any_names(const Names& list, const std::string& expression, const std::string& module) {
  if (!expression.empty()) return PythonExpression(expression).matches_all(module);
  return std::ranges::any_of(list, [&](const std::string& e) { return names_module(e, module); });
}

// The layer that a module stands in: the first number between dots, behind one of the patterns if there are
// any. -1: none.
int64_t layer_of(const LoraConfig& config, const std::string& module) {
  const Names patterns = config.layers_pattern.empty() ? Names{"[^.]*"} : config.layers_pattern;
  for (const std::string& pattern : patterns) {
    const bool any = config.layers_pattern.empty();
    std::string number;
    const std::string expression =
        fmt::format(R"({}(?:{})\.(\d+)\.)", any ? R"(.*?\.)" : R"((?:^|.*?\.))", pattern);
    if (!PythonExpression(expression).matches_start(module, &number)) continue;
    int64_t layer = -1;
    std::from_chars(number.data(), number.data() + number.size(), layer);
    return layer;
  }
  return -1;
}

bool is_target(const LoraConfig& config, const std::string& module) {
  if (any_names(config.exclude_modules, config.exclude_expression, module)) return false;
  // What is trained whole gets no adapter, nor does what stands inside of it.
  for (const std::string& saved : config.modules_to_save) {
    if (PythonExpression(fmt::format(R"((?:^|.*\.)(?:{})(?:$|\..*))", saved)).matches_start(module))
      return false;
  }
  if (!any_names(config.target_modules, config.target_expression, module)) return false;
  if (!config.target_expression.empty() || config.layers_to_transform.empty()) return true;
  // An entry that is the full name holds whatever the layers are.
  if (std::ranges::find(config.target_modules, module) != config.target_modules.end()) return true;
  const int64_t layer = layer_of(config, module);
  return std::ranges::find(config.layers_to_transform, layer) != config.layers_to_transform.end();
}

template <class T>
T by_pattern(const std::vector<std::pair<std::string, T>>& pattern, const std::string& module, T otherwise) {
  for (const auto& [expression, value] : pattern) {
    if (PythonExpression(fmt::format(R"((?:.*\.)?(?:{})$)", expression)).matches_start(module)) return value;
  }
  return otherwise;
}

// The modules of a model that are no linear map of a layer; the last two parts of a layer's names stand for
// all layers.
Names other_modules(const LlamaConfig& model) {
  Names names = {"model", "model.embed_tokens", "model.layers", "model.norm", "model.rotary_emb", "lm_head"};
  for (int64_t i = 0; i < model.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}", i);
    names.push_back(layer);
    for (const char* part : {"self_attn", "mlp", "mlp.act_fn", "input_layernorm", "post_attention_layernorm"})
      names.push_back(fmt::format("{}.{}", layer, part));
    for (const char* part : {"self_attn.q_norm", "self_attn.k_norm"})
      if (model.qk_norm) names.push_back(fmt::format("{}.{}", layer, part));
  }
  return names;
}

void check_names(const char* key, const Names& names) {
  for (const std::string& name : names) {
    const auto count = std::ranges::count(names, name);
    if (name.empty()) throw ConfigError(key, "holds an empty name");
    if (count > 1) throw ConfigError(key, fmt::format("'{}' stands there {} times", name, count));
  }
}

void check_expression(const char* key, const std::string& expression) {
  try {
    PythonExpression compiled(expression);
  } catch (const RequestError& e) {
    throw ConfigError(key, e.what());
  }
}

template <class T>
void check_pattern(const char* key, const std::vector<std::pair<std::string, T>>& pattern) {
  for (const auto& [expression, value] : pattern) {
    check_expression(key, expression);
    if (!(value > 0)) throw ConfigError(key, fmt::format("{} of '{}' is not above 0", value, expression));
  }
}

void check_targets(const LoraConfig& config, const LlamaConfig& model) {
  std::vector<std::string> targeted;
  for (const LinearModule& m : linear_modules(model)) {
    if (is_target(config, m.path)) targeted.push_back(m.path);
  }
  for (const std::string& module : other_modules(model)) {
    if (!is_target(config, module)) continue;
    throw ConfigError("target_modules", fmt::format("finds {}, which can get no factors here: only {} can",
                                                    module, fmt::join(lora_targets(), ", ")));
  }
  if (targeted.empty()) throw ConfigError("target_modules", "finds no module of this model");
  if (!config.target_expression.empty()) return;
  for (const std::string& entry : config.target_modules) {
    const auto found = [&](const LinearModule& m) { return names_module(entry, m.path); };
    if (std::ranges::any_of(linear_modules(model), found)) continue;
    throw ConfigError("target_modules", fmt::format("'{}' names no module of this model, and is none of {}",
                                                    entry, fmt::join(lora_targets(), ", ")));
  }
}

void check_saved(const LoraConfig& config, const LlamaConfig& model) {
  for (const std::string& entry : config.modules_to_save) {
    LoraConfig one;
    one.modules_to_save = {entry};
    bool found = false;
    for (const ModelTensor& t : model_tensors(model)) {
      const std::string module = t.hf_name.substr(0, t.hf_name.rfind('.'));
      if (!is_saved_whole(one, module)) continue;
      found = true;
      const std::string last = module.substr(module.rfind('.') + 1);
      if (std::ranges::find(lora_targets(), last) != lora_targets().end()) {
        throw ConfigError("modules_to_save",
                          fmt::format("'{}' finds {}: only the embedding, the head and norms can be trained "
                                      "whole beside factors",
                                      entry, module));
      }
    }
    const bool tied = model.tie_word_embeddings && (std::string("lm_head").ends_with(entry) ||
                                                    std::string("model.embed_tokens").ends_with(entry));
    if (tied) {
      throw ConfigError("modules_to_save",
                        fmt::format("'{}' is tied to the other end of this model: PEFT would train a copy of "
                                    "one end and leave the other as it was",
                                    entry));
    }
    if (!found)
      throw ConfigError("modules_to_save", fmt::format("'{}' names no module of this model", entry));
  }
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

std::optional<LoraModule> adapter_of(const LoraConfig& config, const std::string& module) {
  if (!is_target(config, module)) return std::nullopt;
  LoraConfig own;
  own.use_rslora = config.use_rslora;
  own.rank = by_pattern(config.rank_pattern, module, config.rank);
  own.alpha = by_pattern(config.alpha_pattern, module, config.alpha);
  return LoraModule{own.rank, own.alpha, own.scale()};
}

bool is_saved_whole(const LoraConfig& config, const std::string& module) {
  return std::ranges::any_of(config.modules_to_save,
                             [&](const std::string& entry) { return module.ends_with(entry); });
}

void check_lora_config(const LoraConfig& config) {
  if (config.rank < 1) throw ConfigError("r", fmt::format("{} is below 1", config.rank));
  if (!(config.alpha > 0) || !std::isfinite(config.alpha)) {
    throw ConfigError("lora_alpha", fmt::format("{} is not above 0", config.alpha));
  }
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    throw ConfigError("lora_dropout", fmt::format("{} is not in [0, 1)", config.dropout));
  }
  if (config.target_modules.empty() && config.target_expression.empty())
    throw ConfigError("target_modules", "is empty");
  check_names("target_modules", config.target_modules);
  check_names("exclude_modules", config.exclude_modules);
  check_names("modules_to_save", config.modules_to_save);
  check_expression("target_modules", config.target_expression);
  check_expression("exclude_modules", config.exclude_expression);
  for (const std::string& pattern : config.layers_pattern) check_expression("layers_pattern", pattern);
  for (const std::string& entry : config.modules_to_save) check_expression("modules_to_save", entry);
  check_pattern("rank_pattern", config.rank_pattern);
  check_pattern("alpha_pattern", config.alpha_pattern);
  if (!config.layers_to_transform.empty() && !config.target_expression.empty()) {
    throw ConfigError("layers_to_transform", "excludes a regular expression in target_modules");
  }
  if (!config.layers_pattern.empty() && config.layers_to_transform.empty()) {
    throw ConfigError("layers_pattern", "needs layers_to_transform");
  }
}

void check_lora_config(const LoraConfig& config, const LlamaConfig& model) {
  check_lora_config(config);
  check_targets(config, model);
  check_saved(config, model);
}

}  // namespace lethe
