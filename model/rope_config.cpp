#include "model/rope_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "engine/log.h"
#include "model/config_reader.h"

namespace lethe {
namespace {

using nlohmann::json;

constexpr int64_t longest_context = std::numeric_limits<int32_t>::max();

struct TypeRow {
  std::string_view name;
  RopeScaling::Type type;
  std::vector<std::string_view> keys;
};

const std::vector<TypeRow>& type_rows() {
  static const std::vector<TypeRow> rows = {
      {"default", RopeScaling::Type::none, {}},
      {"linear", RopeScaling::Type::linear, {"factor"}},
      {"dynamic", RopeScaling::Type::dynamic, {"factor"}},
      {"llama3",
       RopeScaling::Type::llama3,
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}},
      {"yarn",
       RopeScaling::Type::yarn,
       {"factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "mscale",
        "mscale_all_dim", "truncate"}}};
  return rows;
}

// One of the two objects, with the theta it may hold.
struct Parsed {
  RopeScaling scaling;
  std::optional<double> theta;
};

const TypeRow& type_of(const ConfigReader& object) {
  const auto newer = object.text("rope_type"), older = object.text("type");
  if (newer && older && *newer != *older) {
    object.refuse("rope_type", fmt::format("contradicts type \"{}\"", *older));
  }
  const std::string name = newer ? *newer : older.value_or("default");
  for (const TypeRow& row : type_rows()) {
    if (row.name == name) return row;
  }
  object.refuse(newer ? "rope_type" : "type",
                "is not supported (default, linear, dynamic, llama3 and yarn are)");
}

void refuse_unknown_keys(const ConfigReader& object, const json& value, const TypeRow& row) {
  for (const auto& [key, item] : value.items()) {
    const bool common =
        key == "rope_type" || key == "type" || key == "rope_theta" || key == "partial_rotary_factor";
    if (common || item.is_null() || std::ranges::find(row.keys, key) != row.keys.end()) continue;
    object.refuse(key, fmt::format("is no key of rope type \"{}\"", row.name));
  }
  const auto partial = object.number("partial_rotary_factor");
  if (partial && *partial != 1.0) object.refuse("partial_rotary_factor", "is not supported (only 1.0 is)");
}

int64_t original_context(const ConfigReader& config, const ConfigReader& object, int64_t if_absent) {
  constexpr const char* key = "original_max_position_embeddings";
  const auto outer = config.whole(key, 1, longest_context), inner = object.whole(key, 1, longest_context);
  if (outer && inner && *outer != *inner) {
    config.refuse(key, fmt::format("contradicts {} inside the rope parameters", *inner));
  }
  if (!outer && !inner && if_absent == 0) object.refuse(key, "is missing");
  return outer ? *outer : inner.value_or(if_absent);
}

void parse_llama3(const ConfigReader& config, const ConfigReader& object, RopeScaling& scaling) {
  scaling.low_freq_factor = object.require_positive("low_freq_factor");
  scaling.high_freq_factor = object.require_positive("high_freq_factor");
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    object.refuse("high_freq_factor",
                  fmt::format("must be above low_freq_factor {}", scaling.low_freq_factor));
  }
  scaling.original_max_position_embeddings = static_cast<double>(original_context(config, object, 0));
}

void parse_yarn(const ConfigReader& config, const ConfigReader& object, int64_t max_position_embeddings,
                bool any_factor, RopeScaling& scaling) {
  const int64_t original = original_context(config, object, max_position_embeddings);
  const bool given =
      config.has("original_max_position_embeddings") || object.has("original_max_position_embeddings");
  const double reached = scaling.factor * static_cast<double>(original);
  // Releases of transformers differ on what such a file means, so its owner must say that it is meant.
  if (given && !any_factor && reached != static_cast<double>(max_position_embeddings)) {
    object.refuse("factor", fmt::format("times original_max_position_embeddings {} is {}, but "
                                        "max_position_embeddings is {}; allow the key rope_scaling to go on",
                                        original, reached, max_position_embeddings));
  }
  scaling.original_max_position_embeddings = static_cast<double>(original);
  // Null and 0 both mean the default.
  const double fast = object.number("beta_fast").value_or(0), slow = object.number("beta_slow").value_or(0);
  if (fast < 0) object.refuse("beta_fast", "is negative");
  if (slow < 0) object.refuse("beta_slow", "is negative");
  if (fast > 0) scaling.beta_fast = fast;
  if (slow > 0) scaling.beta_slow = slow;
  scaling.truncate = object.truth("truncate").value_or(true);
  scaling.attention_factor = object.positive("attention_factor").value_or(0);
  scaling.mscale = object.number("mscale").value_or(0);
  scaling.mscale_all_dim = object.number("mscale_all_dim").value_or(0);
}

Parsed parse_object(const ConfigReader& config, const char* key, const json& value,
                    int64_t max_position_embeddings, bool any_yarn_factor) {
  const ConfigReader object(config.file(), value, std::string(key) + ".");
  const TypeRow& row = type_of(object);
  refuse_unknown_keys(object, value, row);
  Parsed parsed;
  parsed.theta = object.positive("rope_theta");
  parsed.scaling.type = row.type;
  if (row.type != RopeScaling::Type::none) parsed.scaling.factor = object.require_positive("factor");
  if (row.type == RopeScaling::Type::llama3) parse_llama3(config, object, parsed.scaling);
  if (row.type == RopeScaling::Type::yarn) {
    parse_yarn(config, object, max_position_embeddings, any_yarn_factor, parsed.scaling);
  }
  return parsed;
}

// transformers 5 allows an object per kind of layer; if they are all the same it is as if there were one.
const json& without_layer_types(const ConfigReader& config, const json& parameters) {
  if (!parameters.is_object() || parameters.empty()) return parameters;
  const bool by_layer = std::ranges::all_of(parameters, [](const json& item) { return item.is_object(); });
  if (!by_layer) return parameters;
  const json& first = *parameters.begin();
  if (!std::ranges::all_of(parameters, [&](const json& item) { return item == first; })) {
    config.refuse("rope_parameters", "differ from layer to layer, which is not supported");
  }
  return first;
}

double agreed_theta(const ConfigReader& config, const std::optional<Parsed>& older,
                    const std::optional<Parsed>& newer, bool needs_theta) {
  std::optional<double> theta = config.positive("rope_theta");
  for (const auto* parsed : {&older, &newer}) {
    if (!*parsed || !(*parsed)->theta) continue;
    if (theta && *theta != *(*parsed)->theta) {
      config.refuse("rope_theta", fmt::format("contradicts rope_theta {} in {}", *(*parsed)->theta,
                                              parsed == &older ? "rope_scaling" : "rope_parameters"));
    }
    theta = (*parsed)->theta;
  }
  if (!theta && needs_theta) config.refuse("rope_theta", "is missing");
  if (!theta) log::warning(config.file() + ": no rope_theta, 10000 is taken");
  return theta.value_or(10000.0);
}

}  // namespace

RopeConfig parse_rope(const std::string& file, const json& value, int64_t max_position_embeddings,
                      bool any_yarn_factor, bool needs_theta) {
  const ConfigReader config(file, value);
  std::optional<Parsed> older, newer;
  const json* scaling = config.find("rope_scaling");
  if (scaling != nullptr && !(scaling->is_object() && scaling->empty())) {
    older = parse_object(config, "rope_scaling", *scaling, max_position_embeddings, any_yarn_factor);
  }
  if (const json* parameters = config.find("rope_parameters")) {
    newer = parse_object(config, "rope_parameters", without_layer_types(config, *parameters),
                         max_position_embeddings, any_yarn_factor);
  }
  // A rope_scaling that is there but null says "not scaled" to transformers 4.
  const bool said_unscaled = value.contains("rope_scaling") && !older;
  if (newer && (older || said_unscaled) && newer->scaling != (older ? older->scaling : RopeScaling{})) {
    config.refuse("rope_scaling", "contradicts rope_parameters");
  }
  RopeConfig rope;
  rope.theta = agreed_theta(config, older, newer, needs_theta);
  if (older || newer) rope.scaling = older ? older->scaling : newer->scaling;
  return rope;
}

void write_rope(json& config, double theta, const RopeScaling& scaling, int64_t max_position_embeddings) {
  json object = json::object();
  const auto row = std::ranges::find(type_rows(), scaling.type, &TypeRow::type);
  object["rope_type"] = row->name;
  if (scaling.type != RopeScaling::Type::none) object["factor"] = scaling.factor;
  // A yarn file without the key means the present length, in every release; with it, releases differ.
  const bool yarn_of_present =
      scaling.type == RopeScaling::Type::yarn &&
      scaling.original_max_position_embeddings == static_cast<double>(max_position_embeddings);
  if (scaling.original_max_position_embeddings > 0 && !yarn_of_present) {
    object["original_max_position_embeddings"] =
        static_cast<int64_t>(scaling.original_max_position_embeddings);
  }
  if (scaling.type == RopeScaling::Type::llama3) {
    object["low_freq_factor"] = scaling.low_freq_factor;
    object["high_freq_factor"] = scaling.high_freq_factor;
  }
  if (scaling.type == RopeScaling::Type::yarn) {
    object["beta_fast"] = scaling.beta_fast;
    object["beta_slow"] = scaling.beta_slow;
    if (!scaling.truncate) object["truncate"] = false;
    if (scaling.attention_factor != 0) object["attention_factor"] = scaling.attention_factor;
    if (scaling.mscale != 0) object["mscale"] = scaling.mscale;
    if (scaling.mscale_all_dim != 0) object["mscale_all_dim"] = scaling.mscale_all_dim;
  }
  config["rope_theta"] = theta;
  config["rope_scaling"] = scaling.type == RopeScaling::Type::none ? json(nullptr) : object;
  object["rope_theta"] = theta;
  config["rope_parameters"] = object;
}

}  // namespace lethe
