#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/files/json_file.h"
#include "engine/log.h"
#include "model/config_keys.h"
#include "model/config_reader.h"
#include "model/rope_config.h"

namespace lethe {
namespace {

using nlohmann::json;

constexpr int64_t largest_size = std::numeric_limits<int32_t>::max();
constexpr int64_t most_layers = 100'000;

bool is_allowed(const std::vector<std::string>& allowed, std::string_view key) {
  return std::ranges::find(allowed, key) != allowed.end();
}

std::string architecture_of(const std::string& model_type) {
  return model_type == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM";
}

std::string parse_model_type(const ConfigReader& config) {
  if (!config.has("model_type")) config.refuse("model_type", "is missing");
  const std::string type = *config.text("model_type");
  if (type != "llama" && type != "mistral")
    config.refuse("model_type", "is not supported (llama and mistral are)");
  const json* names = config.find("architectures");
  if (names != nullptr && *names != json::array({architecture_of(type)})) {
    config.refuse("architectures",
                  fmt::format("does not agree with model_type \"{}\" ({})", type, architecture_of(type)));
  }
  return type;
}

// Takes a value or, with a line in the log, its default.
template <class T>
T or_default(const ConfigReader& config, const char* key, const std::optional<T>& value, T otherwise) {
  if (!value) log::info(fmt::format("{}: no {}, {} is taken", config.file(), key, otherwise));
  return value.value_or(otherwise);
}

void parse_sizes(const ConfigReader& config, LlamaConfig& model) {
  model.vocab_size = config.require_whole("vocab_size", 1, largest_size);
  model.hidden_size = config.require_whole("hidden_size", 1, largest_size);
  model.intermediate_size = config.require_whole("intermediate_size", 1, largest_size);
  model.num_hidden_layers = config.require_whole("num_hidden_layers", 1, most_layers);
  model.num_attention_heads = config.require_whole("num_attention_heads", 1, largest_size);
  model.rms_norm_eps = config.require_positive("rms_norm_eps");

  const bool mistral = model.model_type == "mistral";
  const auto kv_heads = config.whole("num_key_value_heads", 1, largest_size);
  if (mistral && !kv_heads) config.refuse("num_key_value_heads", "is missing");
  model.num_key_value_heads = kv_heads.value_or(model.num_attention_heads);
  const auto head_dim = config.whole("head_dim", 1, largest_size);
  if (!head_dim && model.hidden_size % model.num_attention_heads != 0) {
    config.refuse("hidden_size",
                  fmt::format("is no multiple of num_attention_heads {}", model.num_attention_heads));
  }
  model.head_dim = head_dim.value_or(model.hidden_size / model.num_attention_heads);
  model.max_position_embeddings =
      or_default<int64_t>(config, "max_position_embeddings",
                          config.whole("max_position_embeddings", 1, largest_size), mistral ? 131072 : 2048);
  model.tie_word_embeddings = config.truth("tie_word_embeddings").value_or(false);
  model.initializer_range = config.number("initializer_range").value_or(0.02);
  if (model.initializer_range < 0) config.refuse("initializer_range", "is negative");
}

// An id's absence is not the same as null: llama's bos is then 1 and its eos 2.
void parse_token_ids(const ConfigReader& config, const json& value, LlamaConfig& model) {
  const int64_t last = model.vocab_size - 1;
  if (value.contains("bos_token_id")) model.bos_token_id = config.whole("bos_token_id", 0, last);
  model.pad_token_id = config.whole("pad_token_id", 0, last);
  if (!value.contains("eos_token_id")) return;
  model.eos_token_ids.clear();
  const json* eos = config.find("eos_token_id");
  if (eos == nullptr) return;
  if (!eos->is_array()) {
    model.eos_token_ids = {*config.whole("eos_token_id", 0, last)};
    return;
  }
  for (const json& id : *eos) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(last)) {
      config.refuse("eos_token_id", fmt::format("holds {}, no token id from 0 to {}", short_text(id), last));
    }
    model.eos_token_ids.push_back(id.get<int64_t>());
  }
}

void parse_window(const ConfigReader& config, const json& value, LlamaConfig& model) {
  const auto window = config.whole("sliding_window", 1, largest_size);
  if (model.model_type == "mistral") {
    model.sliding_window = value.contains("sliding_window")
                               ? window.value_or(0)
                               : or_default<int64_t>(config, "sliding_window", {}, 4096);
  } else if (window) {
    config.refuse("sliding_window", "is no key of model_type \"llama\"");
  }
  const json* kinds = config.find("layer_types");
  if (kinds == nullptr) return;
  const std::string kind = model.sliding_window > 0 ? "sliding_attention" : "full_attention";
  if (*kinds != json(std::vector<std::string>(static_cast<size_t>(model.num_hidden_layers), kind))) {
    config.refuse("layer_types",
                  fmt::format("is supported only as {} times \"{}\"", model.num_hidden_layers, kind));
  }
}

std::string parse_dtype(const ConfigReader& config) {
  std::string dtype = "float32";
  for (const char* key : {"torch_dtype", "dtype"}) {
    const auto text = config.text(key);
    if (!text) continue;
    dtype = *text;
    const bool known = dtype == "float32" || dtype == "float16" || dtype == "bfloat16" || dtype == "float64";
    if (!known) config.refuse(key, "is not supported (float32, float16, bfloat16 and float64 are)");
  }
  return dtype;
}

// Refuses what is not understood and keeps what does no harm.
std::string parse_other_keys(const ConfigReader& config, const json& value,
                             const std::vector<std::string>& allowed) {
  json kept = json::object();
  for (const auto& [key, item] : value.items()) {
    if (is_model_key(key)) continue;
    const auto required = required_value(key);
    if (required) {
      if (item.is_null() || item == json::parse(*required)) continue;
      config.refuse(key, fmt::format("is not supported (only {} is)", *required));
    }
    if (!item.is_null() && !is_harmless_key(key) && !is_allowed(allowed, key)) {
      config.refuse(key, "is not a known key; if it changes nothing, allow it by its name");
    }
    kept[key] = item;
  }
  return kept.dump();
}

double parameters_of(const LlamaConfig& c) {
  const auto n = [](int64_t value) { return static_cast<double>(value); };
  const double attention =
      n(c.hidden_size) * n(c.head_dim) * 2 * (n(c.num_attention_heads) + n(c.num_key_value_heads));
  const double layer = attention + 3 * n(c.hidden_size) * n(c.intermediate_size) + 2 * n(c.hidden_size);
  const double embeddings = n(c.vocab_size) * n(c.hidden_size) * (c.tie_word_embeddings ? 1 : 2);
  return embeddings + n(c.num_hidden_layers) * layer + n(c.hidden_size);
}

template <class T>
[[noreturn]] void refuse(const std::string& file, const char* key, const T& value,
                         const std::string& what_is_wrong) {
  throw FormatError(file, key, fmt::format("{} {}", value, what_is_wrong));
}

}  // namespace

LlamaConfig parse_config(const std::string& path, const std::vector<std::string>& allowed_keys) {
  return parse_config_text(path, read_text(path), allowed_keys);
}

LlamaConfig parse_config_text(const std::string& file, const std::string& text,
                              const std::vector<std::string>& allowed_keys) {
  const json value = parse_json(file, text);
  const ConfigReader config(file, value);
  LlamaConfig model;
  model.model_type = parse_model_type(config);
  model.other_keys = parse_other_keys(config, value, allowed_keys);
  parse_sizes(config, model);
  parse_token_ids(config, value, model);
  parse_window(config, value, model);
  model.dtype = parse_dtype(config);
  const auto activation = config.text("hidden_act");
  if (activation && *activation != "silu" && *activation != "swish") {
    config.refuse("hidden_act", "is not supported (silu is)");
  }
  const RopeConfig rope =
      parse_rope(file, value, model.max_position_embeddings, is_allowed(allowed_keys, "rope_scaling"));
  model.rope_theta = rope.theta;
  model.rope_scaling = rope.scaling;
  check_config(file, model);
  return model;
}

void check_config(const std::string& file, const LlamaConfig& c) {
  const std::pair<const char*, int64_t> sizes[] = {{"vocab_size", c.vocab_size},
                                                   {"hidden_size", c.hidden_size},
                                                   {"intermediate_size", c.intermediate_size},
                                                   {"num_hidden_layers", c.num_hidden_layers},
                                                   {"num_attention_heads", c.num_attention_heads},
                                                   {"num_key_value_heads", c.num_key_value_heads},
                                                   {"head_dim", c.head_dim},
                                                   {"max_position_embeddings", c.max_position_embeddings}};
  for (const auto& [key, value] : sizes) {
    if (value < 1 || value > largest_size)
      refuse(file, key, value, fmt::format("is not from 1 to {}", largest_size));
  }
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    refuse(file, "num_key_value_heads", c.num_key_value_heads,
           fmt::format("does not divide num_attention_heads {}", c.num_attention_heads));
  }
  if (c.model_type == "llama" && c.hidden_size % c.num_attention_heads != 0) {
    refuse(file, "hidden_size", c.hidden_size,
           fmt::format("is no multiple of num_attention_heads {}", c.num_attention_heads));
  }
  if (c.model_type == "llama" && c.sliding_window != 0) {
    refuse(file, "sliding_window", c.sliding_window, "needs model_type \"mistral\"");
  }
  if (c.head_dim % 2 != 0) refuse(file, "head_dim", c.head_dim, "is odd; rotary positions turn pairs");
  // Far above any model and far below what 64 bits count, also in bytes.
  constexpr double most_parameters = 1e15;
  if (parameters_of(c) > most_parameters) {
    refuse(file, "hidden_size", c.hidden_size,
           fmt::format("and the other sizes make {:.3g} parameters, above {:.0e}", parameters_of(c),
                       most_parameters));
  }
}

std::string config_text(const LlamaConfig& c) {
  json config = json::parse(c.other_keys);
  const auto id = [](const std::optional<int64_t>& value) { return value ? json(*value) : json(nullptr); };
  config["architectures"] = {architecture_of(c.model_type)};
  config["model_type"] = c.model_type;
  config["vocab_size"] = c.vocab_size;
  config["hidden_size"] = c.hidden_size;
  config["intermediate_size"] = c.intermediate_size;
  config["num_hidden_layers"] = c.num_hidden_layers;
  config["num_attention_heads"] = c.num_attention_heads;
  config["num_key_value_heads"] = c.num_key_value_heads;
  config["head_dim"] = c.head_dim;
  config["hidden_act"] = "silu";
  config["rms_norm_eps"] = c.rms_norm_eps;
  config["max_position_embeddings"] = c.max_position_embeddings;
  config["tie_word_embeddings"] = c.tie_word_embeddings;
  config["initializer_range"] = c.initializer_range;
  config["attention_dropout"] = 0.0;
  config["bos_token_id"] = id(c.bos_token_id);
  config["pad_token_id"] = id(c.pad_token_id);
  config["eos_token_id"] = nullptr;
  if (c.eos_token_ids.size() == 1) config["eos_token_id"] = c.eos_token_ids.front();
  if (c.eos_token_ids.size() > 1) config["eos_token_id"] = c.eos_token_ids;
  config["torch_dtype"] = config["dtype"] = c.dtype;
  if (c.model_type == "mistral") {
    config["sliding_window"] = c.sliding_window > 0 ? json(c.sliding_window) : json(nullptr);
  } else {
    config["attention_bias"] = config["mlp_bias"] = false;
  }
  write_rope(config, c.rope_theta, c.rope_scaling, c.max_position_embeddings);
  return config.dump(2) + "\n";
}

void write_config(const std::string& path, const LlamaConfig& config) {
  check_config(path, config);
  replace_file(path, config_text(config));
}

int64_t parameter_count(const LlamaConfig& c) {
  const int64_t attention = c.hidden_size * c.head_dim * 2 * (c.num_attention_heads + c.num_key_value_heads);
  const int64_t layer = attention + 3 * c.hidden_size * c.intermediate_size + 2 * c.hidden_size;
  const int64_t embeddings = c.vocab_size * c.hidden_size * (c.tie_word_embeddings ? 1 : 2);
  return embeddings + c.num_hidden_layers * layer + c.hidden_size;
}

}  // namespace lethe
