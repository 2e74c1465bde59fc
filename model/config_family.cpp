#include "model/config_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/log.h"

namespace lethe {
namespace {

using nlohmann::json;

constexpr int64_t largest = std::numeric_limits<int32_t>::max();

const std::vector<Family>& families() {
  static const std::vector<Family> all = {{.model_type = "llama",
                                           .architecture = "LlamaForCausalLM",
                                           .attention_bias_key = true,
                                           .mlp_bias_key = true,
                                           .needs_kv_heads = false,
                                           .bos_token_id = 1,
                                           .eos_token_id = 2},
                                          {.model_type = "mistral",
                                           .architecture = "MistralForCausalLM",
                                           .max_position_embeddings = 131072,
                                           .bos_token_id = 1,
                                           .eos_token_id = 2},
                                          {.model_type = "qwen2",
                                           .architecture = "Qwen2ForCausalLM",
                                           .max_position_embeddings = 32768,
                                           .qkv_bias = true,
                                           .use_sliding_window_key = true,
                                           .max_window_layers_key = true,
                                           .needs_theta = true},
                                          {.model_type = "qwen3",
                                           .architecture = "Qwen3ForCausalLM",
                                           .max_position_embeddings = 32768,
                                           .attention_bias_key = true,
                                           .qk_norm = true,
                                           .head_dim = 128,
                                           .use_sliding_window_key = true,
                                           .max_window_layers_key = true,
                                           .needs_theta = true},
                                          {.model_type = "smollm3",
                                           .architecture = "SmolLM3ForCausalLM",
                                           .max_position_embeddings = 32768,
                                           .attention_bias_key = true,
                                           .mlp_bias_key = true,
                                           .use_sliding_window_key = true,
                                           .no_rope_layers_key = true,
                                           .needs_theta = true,
                                           .tied = true,
                                           .bos_token_id = 128000,
                                           .eos_token_id = 128001,
                                           .pad_token_id = 128004}};
  return all;
}

bool is_text(const json& value, std::string_view text) {
  const auto* held = value.get_ptr<const std::string*>();
  return held != nullptr && *held == text;
}

// A key that this family does not have may only say what holds without it.
void refuse_foreign(const ConfigReader& config, const Family& family, const char* key, bool known) {
  const json* value = known ? nullptr : config.find(key);
  if (value == nullptr || *value == json(false)) return;
  config.refuse(key, fmt::format("is not supported of model_type \"{}\"", family.model_type));
}

void parse_biases(const ConfigReader& config, const Family& family, LlamaConfig& model) {
  refuse_foreign(config, family, "attention_bias", family.attention_bias_key);
  refuse_foreign(config, family, "mlp_bias", family.mlp_bias_key);
  if (family.qkv_bias && config.has("attention_bias")) {
    config.refuse("attention_bias",
                  fmt::format("is no key of model_type \"{}\", whose q, k and v always have "
                              "one and whose o never has",
                              family.model_type));
  }
  const bool attention = family.attention_bias_key && config.truth("attention_bias").value_or(false);
  model.qkv_bias = family.qkv_bias || attention;
  model.output_bias = attention;
  model.mlp_bias = family.mlp_bias_key && config.truth("mlp_bias").value_or(false);
  model.qk_norm = family.qk_norm;
}

std::vector<bool> all_layers(const LlamaConfig& model, bool value) {
  return std::vector<bool>(static_cast<size_t>(model.num_hidden_layers), value);
}

// 1: the layer turns its queries and keys; 0: it does not ("NoPE").
void parse_no_rope(const ConfigReader& config, const Family& family, LlamaConfig& model) {
  refuse_foreign(config, family, "no_rope_layers", family.no_rope_layers_key);
  refuse_foreign(config, family, "no_rope_layer_interval", family.no_rope_layers_key);
  if (!family.no_rope_layers_key) return;
  model.unrotated_layers = all_layers(model, false);
  const auto interval = config.whole("no_rope_layer_interval", 1, largest).value_or(4);
  const json* flags = config.find("no_rope_layers");
  const auto layers = static_cast<size_t>(model.num_hidden_layers);
  if (flags != nullptr && (!flags->is_array() || flags->size() < layers)) {
    config.refuse("no_rope_layers", fmt::format("is no list of {} flags", layers));
  }
  for (size_t i = 0; i < layers; ++i) {
    if (flags == nullptr) {
      model.unrotated_layers[i] = (static_cast<int64_t>(i) + 1) % interval == 0;
      continue;
    }
    const json& flag = (*flags)[i];
    if (flag != json(0) && flag != json(1) && !flag.is_boolean()) {
      config.refuse("no_rope_layers", fmt::format("holds {}, which is neither 0 nor 1", flag.dump()));
    }
    model.unrotated_layers[i] = flag == json(0) || flag == json(false);
  }
  if (std::ranges::count(model.unrotated_layers, true) == 0) model.unrotated_layers.clear();
}

// The width of the window, 0 for none.
int64_t parse_width(const ConfigReader& config, const Family& family) {
  refuse_foreign(config, family, "use_sliding_window", family.use_sliding_window_key);
  refuse_foreign(config, family, "max_window_layers", family.max_window_layers_key);
  const auto window = config.whole("sliding_window", 1, largest);
  const bool absent = config.find_or_null("sliding_window") == nullptr;
  if (family.use_sliding_window_key) {
    if (!config.truth("use_sliding_window").value_or(false)) return 0;
    // In transformers Qwen's default is 4096, null is no window; SmolLM3's default is none.
    const bool qwen_default = family.max_window_layers_key && absent;
    if (qwen_default) log::info(config.file() + ": no sliding_window, 4096 is taken");
    return qwen_default ? 4096 : window.value_or(0);
  }
  if (family.model_type == "mistral") {
    if (!absent) return window.value_or(0);
    log::info(config.file() + ": no sliding_window, 4096 is taken");
    return 4096;
  }
  if (window) {
    config.refuse("sliding_window", fmt::format("is no key of model_type \"{}\"", family.model_type));
  }
  return 0;
}

// Which layers see everything before any layer_types is asked.
std::vector<bool> full_by_default(const ConfigReader& config, const Family& family,
                                  const LlamaConfig& model) {
  if (model.sliding_window == 0) return all_layers(model, true);
  std::vector<bool> full = all_layers(model, false);
  if (family.max_window_layers_key) {
    const int64_t first = config.whole("max_window_layers", 0, largest).value_or(28);
    for (int64_t i = 0; i < std::min(first, model.num_hidden_layers); ++i)
      full[static_cast<size_t>(i)] = true;
  } else if (family.no_rope_layers_key) {
    for (int64_t i = 0; i < model.num_hidden_layers; ++i) full[static_cast<size_t>(i)] = model.rotates(i);
  }
  return full;
}

void parse_layer_types(const ConfigReader& config, const Family& family, LlamaConfig& model) {
  std::vector<bool> full = full_by_default(config, family, model);
  if (const json* kinds = config.find("layer_types")) {
    const bool fits = kinds->is_array() && kinds->size() == full.size();
    if (!fits) config.refuse("layer_types", fmt::format("is no list of {} kinds", full.size()));
    for (size_t i = 0; i < full.size(); ++i) {
      const json& kind = (*kinds)[i];
      const bool slides = is_text(kind, "sliding_attention");
      if (!slides && !is_text(kind, "full_attention")) {
        config.refuse(
            "layer_types",
            fmt::format("holds {}; full_attention and sliding_attention are supported", kind.dump()));
      }
      if (slides && model.sliding_window == 0) {
        config.refuse("layer_types", fmt::format("says that layer {} slides, but there is no window", i));
      }
      if (!family.use_sliding_window_key && slides == full[i]) {
        config.refuse("layer_types", fmt::format("is supported of model_type \"{}\" only as {} times \"{}\"",
                                                 family.model_type, full.size(),
                                                 full[i] ? "full_attention" : "sliding_attention"));
      }
      full[i] = !slides;
    }
  }
  if (std::ranges::count(full, false) == 0) model.sliding_window = 0;
  if (model.sliding_window > 0 && std::ranges::count(full, true) > 0) model.full_layers = full;
}

}  // namespace

const Family* find_family(const std::string& model_type) {
  const auto found = std::ranges::find(families(), model_type, &Family::model_type);
  return found == families().end() ? nullptr : &*found;
}

std::string family_names() {
  std::string names;
  for (const Family& f : families()) names += (names.empty() ? "" : ", ") + f.model_type;
  return names;
}

const Family& parse_family(const ConfigReader& config) {
  if (!config.has("model_type")) config.refuse("model_type", "is missing");
  const Family* family = find_family(*config.text("model_type"));
  if (family == nullptr)
    config.refuse("model_type", fmt::format("is not supported ({} are)", family_names()));
  const json* names = config.find("architectures");
  const bool agrees = names == nullptr ||
                      (names->is_array() && names->size() == 1 && is_text((*names)[0], family->architecture));
  if (!agrees) {
    config.refuse("architectures", fmt::format("does not agree with model_type \"{}\" ({})",
                                               family->model_type, family->architecture));
  }
  return *family;
}

void parse_layers(const ConfigReader& config, const Family& family, LlamaConfig& model, json& kept) {
  parse_biases(config, family, model);
  parse_no_rope(config, family, model);
  if (family.no_rope_layers_key && config.has("no_rope_layer_interval"))
    kept["no_rope_layer_interval"] = *config.find("no_rope_layer_interval");
  model.sliding_window = parse_width(config, family);
  parse_layer_types(config, family, model);
  if (model.sliding_window > 0 || !family.use_sliding_window_key) return;
  for (const char* key : {"sliding_window", "max_window_layers"}) {
    if (const json* value = config.find_or_null(key)) kept[key] = *value;
  }
}

void write_layers(const std::string& file, json& config, const Family& family, const LlamaConfig& model) {
  const auto refuse = [&](const char* key, const auto& value) {
    throw FormatError(file, key,
                      fmt::format("{} cannot be said of model_type \"{}\"", value, family.model_type));
  };
  const bool biased = family.qkv_bias || (family.attention_bias_key && model.output_bias);
  if (model.qkv_bias != biased || (model.output_bias && !family.attention_bias_key))
    refuse("attention_bias", model.qkv_bias);
  if (model.mlp_bias && !family.mlp_bias_key) refuse("mlp_bias", model.mlp_bias);
  if (model.qk_norm != family.qk_norm) refuse("qk_norm", model.qk_norm);
  if (!model.unrotated_layers.empty() && !family.no_rope_layers_key) refuse("no_rope_layers", "a list");
  const bool mistral = family.model_type == "mistral";
  if (model.sliding_window > 0 && !mistral && !family.use_sliding_window_key)
    refuse("sliding_window", model.sliding_window);
  if (!model.full_layers.empty() && !family.use_sliding_window_key) refuse("layer_types", "a list");

  if (family.attention_bias_key) config["attention_bias"] = model.output_bias;
  if (family.mlp_bias_key) config["mlp_bias"] = model.mlp_bias;
  if (family.no_rope_layers_key) {
    config["no_rope_layers"] = json::array();
    for (int64_t i = 0; i < model.num_hidden_layers; ++i)
      config["no_rope_layers"].push_back(model.rotates(i) ? 1 : 0);
  }
  if (mistral)
    config["sliding_window"] = model.sliding_window > 0 ? json(model.sliding_window) : json(nullptr);
  if (!family.use_sliding_window_key) return;
  config["use_sliding_window"] = model.sliding_window > 0;
  if (model.sliding_window == 0) return;
  config["sliding_window"] = model.sliding_window;
  config["layer_types"] = json::array();
  int64_t leading = 0;  // layers that see everything, before the first that slides
  bool suffix = true;   // all behind them slide
  for (int64_t i = 0; i < model.num_hidden_layers; ++i) {
    const bool full = model.window_of(i) == 0;
    config["layer_types"].push_back(full ? "full_attention" : "sliding_attention");
    if (full) suffix = suffix && leading == i;
    if (full && leading == i) ++leading;
  }
  // What releases before layer_types go by.
  if (family.max_window_layers_key && suffix) config["max_window_layers"] = leading;
}

}  // namespace lethe
