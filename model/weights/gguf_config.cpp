#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "kernels/rope.h"
#include "model/weights/gguf_model.h"

namespace lethe {
namespace {

using nlohmann::json;

const GgufTensor* tensor_of(const GgufFile& file, std::string_view name) {
  const auto found = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  return found == file.tensors().end() ? nullptr : &*found;
}

int64_t required(const GgufFile& file, const std::string& key) {
  const auto value = file.same_integer(key);
  if (!value) throw FormatError(file.path(), key, "the key is missing");
  return *value;
}

// The converter divides the frequencies by factors computed in fp32 from fp32 inputs: some units of 2^-24,
// and never as much as this.
constexpr double factor_tolerance = 1e-4;

// The llama3 scaling that gives the tensor's factors, or nothing if they are all 1: its factor is the
// largest, its bounds are 1 and 4 as in all published models, its positions the power of two that fits.
json scaling_of_factors(const GgufFile& file, const GgufTensor& t, double theta, int64_t head_dim) {
  if (t.type != GgmlType::f32 || t.shape != Shape{head_dim / 2}) {
    throw FormatError(file.path(), t.name,
                      fmt::format("is {} {}, not F32 [{}]", name_of(t.type), text_of(t.shape), head_dim / 2));
  }
  std::vector<float> factors(static_cast<size_t>(head_dim / 2));
  dequantise(t.type, file.bytes(t).data(), head_dim / 2, factors.data());
  if (std::ranges::all_of(factors, [](float f) { return f == 1; })) return nullptr;
  std::vector<double> plain(factors.size()), scaled(factors.size());
  kernels::rope_frequencies(theta, head_dim, {}, plain.data());
  for (int64_t positions = 8; positions <= int64_t{1} << 20; positions *= 2) {
    const RopeScaling scaling{.type = RopeScaling::Type::llama3,
                              .factor = *std::ranges::max_element(factors),
                              .original_max_position_embeddings = static_cast<double>(positions),
                              .low_freq_factor = 1,
                              .high_freq_factor = 4};
    kernels::rope_frequencies(theta, head_dim, scaling, scaled.data());
    bool same = true;
    for (size_t i = 0; i < factors.size(); ++i)
      same = same && std::abs(factors[i] * scaled[i] / plain[i] - 1) <= factor_tolerance;
    if (!same) continue;
    return {{"rope_type", "llama3"},
            {"factor", scaling.factor},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", positions}};
  }
  throw FormatError(file.path(), t.name,
                    "holds factors that Llama 3's formula gives for no power of two of positions");
}

json scaling_of_keys(const GgufFile& file, const std::string& prefix, int64_t context) {
  const std::string key = prefix + "type";
  const double factor = file.real(prefix + "factor").value_or(1);
  const std::string type = file.text(key).value_or(factor == 1 ? "none" : "linear");
  for (const char* name : {"attn_factor", "yarn_attn_factor", "yarn_ext_factor"}) {
    if (file.real(prefix + name).value_or(1) != 1)
      throw FormatError(file.path(), prefix + name, "is not 1, which is not implemented");
  }
  if (file.real(prefix + "yarn_log_multiplier").value_or(0) != 0)
    throw FormatError(file.path(), prefix + "yarn_log_multiplier", "is not implemented");
  if (type == "none") return nullptr;
  if (type == "linear") return {{"rope_type", "linear"}, {"factor", factor}};
  if (type == "yarn") {
    return {{"rope_type", "yarn"},
            {"factor", factor},
            {"beta_fast", file.real(prefix + "yarn_beta_fast").value_or(32)},
            {"beta_slow", file.real(prefix + "yarn_beta_slow").value_or(1)},
            {"original_max_position_embeddings",
             file.integer(prefix + "original_context_length").value_or(context)}};
  }
  throw FormatError(file.path(), key, fmt::format("\"{}\" is not implemented", type));
}

}  // namespace

LlamaConfig gguf_config(const GgufFile& file) {
  const std::string architecture = file.text("general.architecture").value_or("");
  if (architecture != "llama" && architecture != "qwen2" && architecture != "qwen3") {
    throw FormatError(file.path(), "general.architecture",
                      fmt::format("\"{}\" is not supported; llama, qwen2 and qwen3 are", architecture));
  }
  const std::string prefix = architecture + ".";
  if (file.integer(prefix + "expert_count").value_or(0) > 0)
    throw FormatError(file.path(), prefix + "expert_count", "mixtures of experts are not supported");
  const GgufTensor* embedding = tensor_of(file, "token_embd.weight");
  if (embedding == nullptr) throw FormatError(file.path(), "token_embd.weight", "the tensor is missing");

  const int64_t hidden = required(file, prefix + "embedding_length");
  const int64_t heads = required(file, prefix + "attention.head_count");
  const int64_t context = required(file, prefix + "context_length");
  if (heads < 1) throw FormatError(file.path(), prefix + "attention.head_count", fmt::format("{}", heads));
  const int64_t head_dim = file.integer(prefix + "attention.key_length").value_or(hidden / heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    const int64_t value = file.integer(prefix + key).value_or(head_dim);
    if (value != head_dim)
      throw FormatError(file.path(), prefix + key,
                        fmt::format("{} is not the heads' size, {}", value, head_dim));
  }
  if (head_dim < 2 || head_dim % 2 != 0 || head_dim > 65536)
    throw FormatError(file.path(), prefix + "attention.key_length",
                      fmt::format("heads of {} are not possible", head_dim));
  const double theta = file.real(prefix + "rope.freq_base").value_or(10000);
  const auto epsilon = file.real(prefix + "attention.layer_norm_rms_epsilon");
  if (!epsilon)
    throw FormatError(file.path(), prefix + "attention.layer_norm_rms_epsilon", "the key is missing");

  const char* name = architecture == "llama" ? "Llama" : architecture == "qwen2" ? "Qwen2" : "Qwen3";
  json config{{"architectures", {std::string(name) + "ForCausalLM"}},
              {"model_type", architecture},
              {"vocab_size", embedding->shape.front()},
              {"hidden_size", hidden},
              {"intermediate_size", required(file, prefix + "feed_forward_length")},
              {"num_hidden_layers", required(file, prefix + "block_count")},
              {"num_attention_heads", heads},
              {"num_key_value_heads", file.same_integer(prefix + "attention.head_count_kv").value_or(heads)},
              {"head_dim", head_dim},
              {"hidden_act", "silu"},
              // Files hold it as a float; the shortest decimal that gives the float is what was meant.
              {"rms_norm_eps", std::stod(fmt::format("{}", static_cast<float>(*epsilon)))},
              {"max_position_embeddings", context},
              {"rope_theta", theta},
              {"tie_word_embeddings", tensor_of(file, "output.weight") == nullptr},
              {"torch_dtype", "float32"}};
  if (architecture == "llama") {
    config["attention_bias"] = tensor_of(file, "blk.0.attn_q.bias") != nullptr;
    config["mlp_bias"] = tensor_of(file, "blk.0.ffn_up.bias") != nullptr;
  }
  json scaling = scaling_of_keys(file, prefix + "rope.scaling.", context);
  if (const GgufTensor* factors = tensor_of(file, "rope_freqs.weight")) {
    const json of_factors = scaling_of_factors(file, *factors, theta, head_dim);
    if (!scaling.is_null() && !of_factors.is_null())
      throw FormatError(file.path(), "rope_freqs.weight", "scales what the keys rope.scaling scale too");
    if (!of_factors.is_null()) scaling = of_factors;
  }
  if (!scaling.is_null()) config["rope_scaling"] = scaling;
  const auto bos = file.integer("tokenizer.ggml.bos_token_id"),
             eos = file.integer("tokenizer.ggml.eos_token_id"),
             turn = file.integer("tokenizer.ggml.eot_token_id");
  config["bos_token_id"] = bos ? json(*bos) : json(nullptr);
  config["eos_token_id"] = eos ? json(*eos) : json(nullptr);
  if (eos && turn && *turn != *eos) config["eos_token_id"] = {*eos, *turn};
  return parse_config_text(file.path(), config.dump(), {"rope_scaling"});
}

}  // namespace lethe
