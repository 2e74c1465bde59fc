#include "model/weights/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace lethe {
namespace {

constexpr const char* embedding_name = "model.embed_tokens.weight";
constexpr const char* head_name = "lm_head.weight";

std::string layer_path(int64_t layer) {
  return fmt::format("model.layers.{}", layer);
}

void check_tensor(const ModelFiles& files, const ModelTensor& expected) {
  const StoredTensor stored = files.require(expected.hf_name);
  if (stored.entry->shape != expected.shape()) {
    throw FormatError(stored.file->path(), expected.hf_name,
                      fmt::format("has shape {}, but config.json asks for {}", text_of(stored.entry->shape),
                                  text_of(expected.shape())));
  }
  if (!is_float(stored.entry->type)) {
    throw FormatError(
        stored.file->path(), expected.hf_name,
        fmt::format("is stored as {}, not as F32, F16, BF16 or F64", name_of(stored.entry->type)));
  }
}

void check_stored_tied_head(const ModelFiles& files, const StoredTensor& head) {
  const StoredTensor embedding = files.require(embedding_name);
  const bool same_kind =
      head.entry->type == embedding.entry->type && head.entry->shape == embedding.entry->shape;
  if (same_kind && std::ranges::equal(head.file->bytes(*head.entry), embedding.file->bytes(*embedding.entry)))
    return;
  throw FormatError(head.file->path(), head_name,
                    fmt::format("{} {} differs from {} {} {}, but config.json says tie_word_embeddings",
                                name_of(head.entry->type), text_of(head.entry->shape), embedding_name,
                                name_of(embedding.entry->type), text_of(embedding.entry->shape)));
}

bool is_old_rotary_table(const LlamaConfig& config, const std::string& name) {
  if (!name.ends_with(".self_attn.rotary_emb.inv_freq")) return false;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    if (name == layer_path(i) + ".self_attn.rotary_emb.inv_freq") return true;
  }
  return false;
}

}  // namespace

std::vector<LinearModule> linear_modules(const LlamaConfig& c) {
  const int64_t queries = c.num_attention_heads * c.head_dim, keys = c.num_key_value_heads * c.head_dim;
  std::vector<LinearModule> modules;
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string attention = layer_path(i) + ".self_attn.", mlp = layer_path(i) + ".mlp.";
    modules.push_back({attention + "q_proj", "q_proj", queries, c.hidden_size});
    modules.push_back({attention + "k_proj", "k_proj", keys, c.hidden_size});
    modules.push_back({attention + "v_proj", "v_proj", keys, c.hidden_size});
    modules.push_back({attention + "o_proj", "o_proj", c.hidden_size, queries});
    modules.push_back({mlp + "gate_proj", "gate_proj", c.intermediate_size, c.hidden_size});
    modules.push_back({mlp + "up_proj", "up_proj", c.intermediate_size, c.hidden_size});
    modules.push_back({mlp + "down_proj", "down_proj", c.hidden_size, c.intermediate_size});
  }
  return modules;
}

std::vector<ModelTensor> model_tensors(const LlamaConfig& c) {
  constexpr size_t maps_per_layer = 7;
  const auto has_bias = [&](const std::string& map) {
    if (map == "o_proj") return c.output_bias;
    return map == "q_proj" || map == "k_proj" || map == "v_proj" ? c.qkv_bias : c.mlp_bias;
  };
  const std::vector<LinearModule> modules = linear_modules(c);
  std::vector<ModelTensor> tensors;
  const auto vector = [&](const std::string& name, int64_t size) {
    tensors.push_back({name, 1, size, true});
  };
  tensors.push_back({embedding_name, c.vocab_size, c.hidden_size, false});
  for (size_t i = 0; i < modules.size(); ++i) {
    tensors.push_back({modules[i].path + ".weight", modules[i].out, modules[i].in, false});
    if (has_bias(modules[i].name)) vector(modules[i].path + ".bias", modules[i].out);
    if ((i + 1) % maps_per_layer != 0) continue;
    const std::string layer = layer_path(static_cast<int64_t>(i / maps_per_layer));
    if (c.qk_norm) {
      vector(layer + ".self_attn.q_norm.weight", c.head_dim);
      vector(layer + ".self_attn.k_norm.weight", c.head_dim);
    }
    vector(layer + ".input_layernorm.weight", c.hidden_size);
    vector(layer + ".post_attention_layernorm.weight", c.hidden_size);
  }
  vector("model.norm.weight", c.hidden_size);
  if (!c.tie_word_embeddings) tensors.push_back({head_name, c.vocab_size, c.hidden_size, false});
  return tensors;
}

std::vector<MergedTensor> merged_tensors(const LlamaConfig& c) {
  std::vector<MergedTensor> merged;
  for (const LinearModule& module : linear_modules(c)) {
    const std::string folder = module.path.substr(0, module.path.size() - module.name.size());
    if (module.name == "q_proj") merged.push_back({folder + "qkv_proj.weight", 0, c.hidden_size, {}});
    if (module.name == "gate_proj") merged.push_back({folder + "gate_up_proj.weight", 0, c.hidden_size, {}});
    if (module.name == "o_proj" || module.name == "down_proj") continue;
    MergedTensor& whole = merged.back();
    whole.parts.push_back({module.path + ".weight", whole.rows, module.out});
    whole.rows += module.out;
  }
  return merged;
}

void check_model_files(const ModelFiles& files, const LlamaConfig& config) {
  std::unordered_set<std::string> known;
  for (const ModelTensor& expected : model_tensors(config)) {
    check_tensor(files, expected);
    known.insert(expected.hf_name);
  }
  for (const StoredTensor& tensor : files.tensors()) {
    const std::string& name = tensor.entry->name;
    if (known.contains(name) || is_old_rotary_table(config, name)) continue;
    if (name == head_name) {
      check_stored_tied_head(files, tensor);
      continue;
    }
    throw FormatError(tensor.file->path(), name,
                      fmt::format("is no tensor of the model that config.json describes (stored: {} {})",
                                  name_of(tensor.entry->type), text_of(tensor.entry->shape)));
  }
}

}  // namespace lethe
