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
#include "model/config_family.h"
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

// Takes a value or, with a line in the log, its default.
template <class T>
T or_default(const ConfigReader& config, const char* key, const std::optional<T>& value, T otherwise) {
  if (!value) log::info(fmt::format("{}: no {}, {} is taken", config.file(), key, otherwise));
  return value.value_or(otherwise);
}

void parse_sizes(const ConfigReader& config, const Family& family, LlamaConfig& model) {
  model.vocab_size = config.require_whole("vocab_size", 1, largest_size);
  model.hidden_size = config.require_whole("hidden_size", 1, largest_size);
  model.intermediate_size = config.require_whole("intermediate_size", 1, largest_size);
  model.num_hidden_layers = config.require_whole("num_hidden_layers", 1, most_layers);
  model.num_attention_heads = config.require_whole("num_attention_heads", 1, largest_size);
  model.rms_norm_eps = config.require_positive("rms_norm_eps");

  const auto kv_heads = config.whole("num_key_value_heads", 1, largest_size);
  if (family.needs_kv_heads && !kv_heads) config.refuse("num_key_value_heads", "is missing");
  model.num_key_value_heads = kv_heads.value_or(model.num_attention_heads);
  auto head_dim = config.whole("head_dim", 1, largest_size);
  if (!head_dim && family.head_dim > 0)
    head_dim = or_default<int64_t>(config, "head_dim", {}, family.head_dim);
  if (!head_dim && model.hidden_size % model.num_attention_heads != 0) {
    config.refuse("hidden_size",
                  fmt::format("is no multiple of num_attention_heads {}", model.num_attention_heads));
  }
  model.head_dim = head_dim.value_or(model.hidden_size / model.num_attention_heads);
  model.max_position_embeddings = or_default<int64_t>(
      config, "max_position_embeddings", config.whole("max_position_embeddings", 1, largest_size),
      family.max_position_embeddings);
  model.tie_word_embeddings = config.truth("tie_word_embeddings").value_or(family.tied);
  model.initializer_range = config.number("initializer_range").value_or(0.02);
  if (model.initializer_range < 0) config.refuse("initializer_range", "is negative");
  model.attention_dropout = config.number("attention_dropout").value_or(0.0);
  if (!(model.attention_dropout >= 0 && model.attention_dropout < 1))
    config.refuse("attention_dropout", "is not from 0 to below 1");
}

// An id's absence is not the same as null: the family's own is then meant.
std::optional<int64_t> parse_token_id(const ConfigReader& config, const char* key, int64_t last,
                                      const std::optional<int64_t>& if_absent) {
  if (config.find_or_null(key) != nullptr) return config.whole(key, 0, last);
  if (if_absent > last) {
    config.refuse(
        key, fmt::format("is missing, and the family's {} is no token id from 0 to {}", *if_absent, last));
  }
  return if_absent;
}

void parse_token_ids(const ConfigReader& config, const Family& family, LlamaConfig& model) {
  const int64_t last = model.vocab_size - 1;
  model.bos_token_id = parse_token_id(config, "bos_token_id", last, family.bos_token_id);
  model.pad_token_id = parse_token_id(config, "pad_token_id", last, family.pad_token_id);
  model.eos_token_ids.clear();
  if (config.find_or_null("eos_token_id") == nullptr) {
    const auto id = parse_token_id(config, "eos_token_id", last, family.eos_token_id);
    if (id) model.eos_token_ids = {*id};
    return;
  }
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
json parse_other_keys(const ConfigReader& config, const json& value,
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
  return kept;
}

// Elements of a layer's biases and of its heads' norms.
int64_t vectors_of_layer(const LlamaConfig& c) {
  const int64_t qkv = (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim;
  return (c.qkv_bias ? qkv : 0) + (c.output_bias ? c.hidden_size : 0) +
         (c.mlp_bias ? 2 * c.intermediate_size + c.hidden_size : 0) + (c.qk_norm ? 2 * c.head_dim : 0);
}

double parameters_of(const LlamaConfig& c) {
  const auto n = [](int64_t value) { return static_cast<double>(value); };
  const double attention =
      n(c.hidden_size) * n(c.head_dim) * 2 * (n(c.num_attention_heads) + n(c.num_key_value_heads));
  const double layer = attention + 3 * n(c.hidden_size) * n(c.intermediate_size) + 2 * n(c.hidden_size) +
                       n(vectors_of_layer(c));
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
  const Family& family = parse_family(config);
  model.model_type = family.model_type;
  json kept = parse_other_keys(config, value, allowed_keys);
  parse_sizes(config, family, model);
  parse_token_ids(config, family, model);
  parse_layers(config, family, model, kept);
  model.other_keys = kept.dump();
  model.dtype = parse_dtype(config);
  const auto activation = config.text("hidden_act");
  if (activation && *activation != "silu" && *activation != "swish") {
    config.refuse("hidden_act", "is not supported (silu is)");
  }
  const RopeConfig rope = parse_rope(file, value, model.max_position_embeddings,
                                     is_allowed(allowed_keys, "rope_scaling"), family.needs_theta);
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
  for (const auto* layers : {&c.full_layers, &c.unrotated_layers}) {
    if (layers->empty() || static_cast<int64_t>(layers->size()) == c.num_hidden_layers) continue;
    refuse(file, layers == &c.full_layers ? "layer_types" : "no_rope_layers", layers->size(),
           fmt::format("flags, but num_hidden_layers is {}", c.num_hidden_layers));
  }
  const Family* family = find_family(c.model_type);
  if (family == nullptr) refuse(file, "model_type", c.model_type, "is not supported");
  json ignored;
  write_layers(file, ignored, *family, c);  // what the family cannot say is refused
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
  const Family* family = find_family(c.model_type);
  if (family == nullptr) refuse("config.json", "model_type", c.model_type, "is not supported");
  config["architectures"] = {family->architecture};
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
  config["attention_dropout"] = c.attention_dropout;
  config["bos_token_id"] = id(c.bos_token_id);
  config["pad_token_id"] = id(c.pad_token_id);
  config["eos_token_id"] = nullptr;
  if (c.eos_token_ids.size() == 1) config["eos_token_id"] = c.eos_token_ids.front();
  if (c.eos_token_ids.size() > 1) config["eos_token_id"] = c.eos_token_ids;
  config["torch_dtype"] = config["dtype"] = c.dtype;
  write_layers("config.json", config, *family, c);
  write_rope(config, c.rope_theta, c.rope_scaling, c.max_position_embeddings);
  return config.dump(2) + "\n";
}

void write_config(const std::string& path, const LlamaConfig& config) {
  check_config(path, config);
  replace_file(path, config_text(config));
}

int64_t parameter_count(const LlamaConfig& c) {
  const int64_t attention = c.hidden_size * c.head_dim * 2 * (c.num_attention_heads + c.num_key_value_heads);
  const int64_t layer =
      attention + 3 * c.hidden_size * c.intermediate_size + 2 * c.hidden_size + vectors_of_layer(c);
  const int64_t embeddings = c.vocab_size * c.hidden_size * (c.tie_word_embeddings ? 1 : 2);
  return embeddings + c.num_hidden_layers * layer + c.hidden_size;
}

}  // namespace lethe
