#include "model/weights/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/error.h"
#include "engine/files/convert.h"
#include "engine/files/file_replacement.h"
#include "kernels/rope.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

constexpr uint64_t alignment = 32;

class Bytes {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number(static_cast<uint64_t>(value.size()));
    bytes_ += value;
  }
  void pad() { bytes_.append((alignment - bytes_.size() % alignment) % alignment, '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct ValueWriter {
  Bytes& out;
  void operator()(uint64_t v) const {
    out.number(uint32_t{4});
    out.number(static_cast<uint32_t>(v));
  }
  void operator()(int64_t v) const { (*this)(static_cast<uint64_t>(v)); }
  void operator()(double v) const {
    out.number(uint32_t{6});
    out.number(static_cast<float>(v));
  }
  void operator()(bool v) const {
    out.number(uint32_t{7});
    out.number(static_cast<uint8_t>(v));
  }
  void operator()(const std::string& v) const {
    out.number(uint32_t{8});
    out.text(v);
  }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    constexpr uint32_t type = std::is_same_v<T, std::string> ? 8 : std::is_same_v<T, double> ? 6 : 5;
    out.number(uint32_t{9});
    out.number(type);
    out.number(static_cast<uint64_t>(list.size()));
    for (const T& v : list) {
      if constexpr (std::is_same_v<T, std::string>) {
        out.text(v);
      } else if constexpr (std::is_same_v<T, double>) {
        out.number(static_cast<float>(v));
      } else {
        out.number(static_cast<int32_t>(v));
      }
    }
  }
};

struct Planned {
  std::string name;
  GgmlType type;
  Shape shape;
  StoredTensor from;            // or
  std::vector<float> values{};  // made here
  int64_t head_dim = 0;         // above 0: rows go into llama.cpp's order
};

int64_t rows_of(const Planned& p) {
  return p.shape.size() == 1 ? 1 : p.shape.front();
}

int64_t row_bytes(const Planned& p) {
  const GgmlBlock block = block_of(p.type);
  return p.shape.back() / block.weights * block.bytes;
}

std::vector<GgufKey> keys_of(const ModelFiles& files, const LlamaConfig& c, GgmlType type,
                             const std::string& architecture) {
  const auto count = [](int64_t v) { return GgufValue(static_cast<uint64_t>(v)); };
  std::vector<GgufKey> keys{{"general.architecture", architecture},
                            {"general.type", std::string("model")},
                            {"general.name", std::filesystem::path(files.directory()).stem().string()}};
  const auto add = [&](const char* name, GgufValue value) {
    keys.push_back({architecture + "." + name, std::move(value)});
  };
  add("block_count", count(c.num_hidden_layers));
  add("context_length", count(c.max_position_embeddings));
  add("embedding_length", count(c.hidden_size));
  add("feed_forward_length", count(c.intermediate_size));
  add("attention.head_count", count(c.num_attention_heads));
  add("attention.head_count_kv", count(c.num_key_value_heads));
  add("rope.freq_base", c.rope_theta);
  add("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  add("attention.key_length", count(c.head_dim));
  add("attention.value_length", count(c.head_dim));
  add("vocab_size", count(c.vocab_size));
  add("rope.dimension_count", count(c.head_dim));
  if (c.rope_scaling.type == RopeScaling::Type::linear || c.rope_scaling.type == RopeScaling::Type::yarn) {
    const bool yarn = c.rope_scaling.type == RopeScaling::Type::yarn;
    add("rope.scaling.type", std::string(yarn ? "yarn" : "linear"));
    add("rope.scaling.factor", c.rope_scaling.factor);
    if (yarn) {
      add("rope.scaling.original_context_length",
          count(static_cast<int64_t>(c.rope_scaling.original_max_position_embeddings)));
    }
  }
  keys.push_back({"general.file_type", count(type == GgmlType::f16 ? 1 : 7)});
  keys.push_back({"general.quantization_version", count(2)});
  return keys;
}

// "llama", "qwen2" or "qwen3".
std::string architecture_of(const LlamaConfig& c) {
  const RopeScaling& s = c.rope_scaling;
  const auto refuse = [](const std::string& what) {
    throw RequestError("a GGUF file cannot express " + what);
  };
  if (c.model_type == "smollm3") refuse("model_type smollm3 here");
  if (c.sliding_window != 0) refuse(fmt::format("a sliding window ({})", c.sliding_window));
  if (s.type == RopeScaling::Type::dynamic) refuse("dynamic rope_scaling");
  if (s.type == RopeScaling::Type::yarn &&
      (s.beta_fast != 32 || s.beta_slow != 1 || !s.truncate || s.attention_factor != 0 || s.mscale != 0 ||
       s.mscale_all_dim != 0)) {
    refuse("a yarn rope_scaling with more than factor and original_max_position_embeddings");
  }
  return c.model_type == "qwen2" || c.model_type == "qwen3" ? c.model_type : "llama";
}

std::vector<Planned> plan(const ModelFiles& files, const LlamaConfig& c, GgmlType type,
                          const std::string& architecture) {
  std::vector<Planned> tensors;
  if (c.rope_scaling.type == RopeScaling::Type::llama3) {
    std::vector<double> plain(static_cast<size_t>(c.head_dim / 2)), scaled(plain.size());
    kernels::rope_frequencies(c.rope_theta, c.head_dim, {}, plain.data());
    kernels::rope_frequencies(c.rope_theta, c.head_dim, c.rope_scaling, scaled.data());
    Planned p{"rope_freqs.weight", GgmlType::f32, {c.head_dim / 2}, {}};
    for (size_t i = 0; i < plain.size(); ++i) p.values.push_back(static_cast<float>(plain[i] / scaled[i]));
    tensors.push_back(std::move(p));
  }
  for (const ModelTensor& t : model_tensors(c)) {
    const bool turned = architecture == "llama" && (t.hf_name.find(".q_proj.") != std::string::npos ||
                                                    t.hf_name.find(".k_proj.") != std::string::npos);
    const GgmlType own = t.is_vector                               ? GgmlType::f32
                         : t.columns % block_of(type).weights != 0 ? GgmlType::f16
                                                                   : type;
    tensors.push_back(
        {gguf_name_of(t.hf_name), own, t.shape(), files.require(t.hf_name), {}, turned ? c.head_dim : 0});
  }
  return tensors;
}

// Row r of llama.cpp's order is this row of Hugging Face's.
int64_t halved(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim;
  return head * head_dim + within % 2 * (head_dim / 2) + within / 2;
}

void encode(const Planned& p, int64_t row, const std::vector<float>& values, std::byte* to) {
  const auto count = static_cast<int64_t>(values.size());
  const int64_t lost = p.type == GgmlType::q8_0
                           ? quantise_q8_0(values.data(), count, to)
                           : to_stored(DType::f32, values.data(), count,
                                       p.type == GgmlType::f16 ? StoredType::f16 : StoredType::f32, to);
  if (lost >= 0) {
    throw RequestError(
        fmt::format("{}: row {}, element {} is beyond the range of {}", p.name, row, lost, name_of(p.type)));
  }
}

void write_tensor(FileReplacement& file, const Planned& p) {
  const int64_t width = p.shape.back(), rows = rows_of(p), bytes = row_bytes(p);
  std::vector<float> values(static_cast<size_t>(width));
  const int64_t at_once = std::clamp<int64_t>((1 << 20) / bytes, 1, rows);
  std::vector<std::byte> buffer(static_cast<size_t>(at_once * bytes));
  for (int64_t first = 0; first < rows; first += at_once) {
    const int64_t count = std::min(at_once, rows - first);
    for (int64_t r = first; r < first + count; ++r) {
      const int64_t from = p.head_dim > 0 && rows > 1 ? halved(r, p.head_dim) : r;
      if (p.from) {
        p.from.read({values.data(), DType::f32, 0}, {from, 1});
      } else {
        values = p.values;
      }
      if (p.head_dim > 0 && rows == 1) {
        const std::vector<float> straight = values;
        for (int64_t i = 0; i < width; ++i)
          values[static_cast<size_t>(i)] = straight[static_cast<size_t>(halved(i, p.head_dim))];
      }
      encode(p, from, values, buffer.data() + (r - first) * bytes);
    }
    file.write(buffer.data(), static_cast<size_t>(count * bytes));
  }
  const std::string zeros((alignment - static_cast<uint64_t>(rows * bytes) % alignment) % alignment, '\0');
  file.write(zeros.data(), zeros.size());
}

}  // namespace

void write_gguf(const std::string& path, const ModelFiles& files, const LlamaConfig& config, GgmlType type,
                const std::vector<GgufKey>& tokenizer) {
  const std::string architecture = architecture_of(config);
  std::vector<GgufKey> keys = keys_of(files, config, type, architecture);
  keys.insert(keys.end(), tokenizer.begin(), tokenizer.end());
  const std::vector<Planned> tensors = plan(files, config, type, architecture);
  Bytes head;
  head.number(uint32_t{0x46554747});  // "GGUF"
  head.number(uint32_t{3});
  head.number(static_cast<uint64_t>(tensors.size()));
  head.number(static_cast<uint64_t>(keys.size()));
  for (const GgufKey& key : keys) {
    head.text(key.name);
    std::visit(ValueWriter{head}, key.value);
  }
  uint64_t offset = 0;
  for (const Planned& p : tensors) {
    head.text(p.name);
    head.number(static_cast<uint32_t>(p.shape.size()));
    for (size_t i = p.shape.size(); i-- > 0;) head.number(static_cast<uint64_t>(p.shape[i]));
    head.number(static_cast<uint32_t>(p.type));
    head.number(offset);
    offset += (static_cast<uint64_t>(rows_of(p) * row_bytes(p)) + alignment - 1) / alignment * alignment;
  }
  head.pad();
  FileReplacement file(path);
  file.write(head.bytes().data(), head.bytes().size());
  for (const Planned& p : tensors) write_tensor(file, p);
  file.commit();
}

}  // namespace lethe
