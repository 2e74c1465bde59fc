#include "model/weights/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "engine/error.h"
#include "engine/files/convert.h"

namespace lethe {
namespace {

struct Name {
  const char *gguf, *hf;
};

constexpr std::array<Name, 3> outer_names{{{"token_embd.weight", "model.embed_tokens.weight"},
                                           {"output_norm.weight", "model.norm.weight"},
                                           {"output.weight", "lm_head.weight"}}};
constexpr std::array<Name, 11> layer_names{{{"attn_norm", "input_layernorm"},
                                            {"attn_q", "self_attn.q_proj"},
                                            {"attn_k", "self_attn.k_proj"},
                                            {"attn_v", "self_attn.v_proj"},
                                            {"attn_output", "self_attn.o_proj"},
                                            {"attn_q_norm", "self_attn.q_norm"},
                                            {"attn_k_norm", "self_attn.k_norm"},
                                            {"ffn_norm", "post_attention_layernorm"},
                                            {"ffn_gate", "mlp.gate_proj"},
                                            {"ffn_up", "mlp.up_proj"},
                                            {"ffn_down", "mlp.down_proj"}}};

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; empty for an unknown name.
std::string hf_name_of(std::string_view name) {
  for (const Name& n : outer_names) {
    if (name == n.gguf) return n.hf;
  }
  if (!name.starts_with("blk.")) return "";
  name.remove_prefix(4);
  const size_t first = name.find('.'), last = name.rfind('.');
  if (first == std::string_view::npos || last <= first) return "";
  const std::string_view layer = name.substr(0, first), kind = name.substr(last + 1);
  int64_t number = -1;
  const auto read = std::from_chars(layer.data(), layer.data() + layer.size(), number);
  if (read.ec != std::errc() || std::to_string(number) != layer || (kind != "weight" && kind != "bias"))
    return "";
  for (const Name& n : layer_names) {
    if (name.substr(first + 1, last - first - 1) == n.gguf)
      return fmt::format("model.layers.{}.{}.{}", layer, n.hf, kind);
  }
  return "";
}

bool is_left_out(std::string_view name) {
  return name == "rope_freqs.weight" || (name.starts_with("blk.") && name.ends_with(".attn_rot_embd"));
}

StoredType entry_type(GgmlType type) {
  if (type == GgmlType::f16) return StoredType::f16;
  return type == GgmlType::bf16 ? StoredType::bf16 : StoredType::f32;
}

// Where llama.cpp keeps row `row` of q or k.
int64_t interleaved(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim, half = head_dim / 2;
  return head * head_dim + 2 * (within % half) + within / half;
}

}  // namespace

bool is_gguf(const std::string& path) {
  return path.ends_with(".gguf");
}

std::string gguf_name_of(const std::string& hf_name) {
  for (const Name& n : outer_names) {
    if (hf_name == n.hf) return n.gguf;
  }
  const size_t layer = std::string_view("model.layers.").size(), module = hf_name.find('.', layer) + 1,
               kind = hf_name.rfind('.');
  for (const Name& n : layer_names) {
    if (hf_name.substr(module, kind - module) == n.hf)
      return fmt::format("blk.{}.{}{}", hf_name.substr(layer, module - 1 - layer), n.gguf,
                         hf_name.substr(kind));
  }
  throw RequestError(hf_name + ": has no name in a GGUF file");
}

LlamaConfig read_model_config(const std::string& model) {
  return is_gguf(model) ? gguf_config(GgufFile(model)) : parse_config(model + "/config.json");
}

GgufModel::GgufModel(const std::string& path) : file_(path) {
  const LlamaConfig config = gguf_config(file_);
  const bool interleaves = file_.text("general.architecture") == "llama";
  for (size_t i = 0; i < file_.tensors().size(); ++i) {
    const GgufTensor& t = file_.tensors()[i];
    if (is_left_out(t.name)) continue;
    const std::string name = hf_name_of(t.name);
    if (name.empty()) throw FormatError(path, t.name, "is no tensor of a model that Lethe reads");
    const bool turned = interleaves && (name.find(".q_proj.") != std::string::npos ||
                                        name.find(".k_proj.") != std::string::npos);
    if (turned && t.shape.front() % config.head_dim != 0) {
      throw FormatError(path, t.name,
                        fmt::format("has shape {}, no whole heads of {}", text_of(t.shape), config.head_dim));
    }
    entries_.push_back({name, entry_type(t.type), t.shape, t.begin, t.end});
    sources_[name] = {i, turned ? config.head_dim : 0};
  }
}

const GgufModel::Source& GgufModel::source_of(const SafetensorsEntry& entry) const {
  return sources_.at(entry.name);
}

std::span<const std::byte> GgufModel::bytes(const SafetensorsEntry& entry) const {
  return file_.bytes(file_.tensors()[source_of(entry).tensor]);
}

// One row in the entry's type.
void GgufModel::read_row(const SafetensorsEntry& entry, const Source& source, int64_t row,
                         std::byte* to) const {
  const GgufTensor& t = file_.tensors()[source.tensor];
  const GgmlBlock block = block_of(t.type);
  const int64_t width = entry.width(), row_bytes = width / block.weights * block.bytes;
  const bool vector = entry.shape.size() == 1;
  if (source.head_dim > 0 && !vector) row = interleaved(row, source.head_dim);
  const std::byte* from = file_.bytes(t).data() + row * row_bytes;
  if (entry.type == StoredType::f32) {
    std::vector<float> values(static_cast<size_t>(width));
    dequantise(t.type, from, width, values.data());
    std::memcpy(to, values.data(), values.size() * sizeof(float));
  } else {
    std::memcpy(to, from, static_cast<size_t>(row_bytes));
  }
  if (source.head_dim == 0 || !vector) return;
  const int64_t size = bits_of(entry.type) / 8;
  const std::vector<std::byte> straight(to, to + width * size);
  for (int64_t i = 0; i < width; ++i)
    std::memcpy(to + i * size, straight.data() + interleaved(i, source.head_dim) * size,
                static_cast<size_t>(size));
}

void GgufModel::read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count, std::byte* to) const {
  const Source& source = source_of(entry);
  const int64_t row = entry.width() * bits_of(entry.type) / 8;
  for (int64_t done = 0; done < count; done += row) read_row(entry, source, (first + done) / row, to + done);
}

void GgufModel::read(std::string_view name, const RowTarget& target, RowRange rows) const {
  const auto found = sources_.find(std::string(name));
  if (found == sources_.end())
    throw FormatError(path(), std::string(name), "there is no such tensor in this file");
  const SafetensorsEntry& entry = *std::ranges::find(entries_, name, &SafetensorsEntry::name);
  const int64_t width = entry.width(), pitch = target.pitch == 0 ? width : target.pitch;
  const int64_t count = rows.count < 0 ? entry.rows() - rows.first : rows.count;
  if (rows.first < 0 || count < 0 || rows.first > entry.rows() || count > entry.rows() - rows.first) {
    throw FormatError(path(), entry.name,
                      fmt::format("rows {} to {} asked for, shape {} has {}", rows.first, rows.first + count,
                                  text_of(entry.shape), entry.rows()));
  }
  if (!convertible(entry.type, target.dtype)) {
    throw FormatError(path(), entry.name, fmt::format("cannot be read as {}", name_of(target.dtype)));
  }
  std::vector<std::byte> row(static_cast<size_t>(width * bits_of(entry.type) / 8));
  for (int64_t i = 0; i < count; ++i) {
    read_row(entry, found->second, rows.first + i, row.data());
    const int64_t lost =
        from_stored(entry.type, row.data(), width, target.dtype,
                    static_cast<std::byte*>(target.data) + i * pitch * size_of(target.dtype));
    if (lost < 0) continue;
    throw FormatError(path(), entry.name,
                      fmt::format("element {} is beyond the range of {}", (rows.first + i) * width + lost,
                                  name_of(target.dtype)));
  }
}

}  // namespace lethe
