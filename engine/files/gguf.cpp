#include "engine/files/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <set>

#include "engine/error.h"

namespace lethe {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read as they lie in memory");

enum ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

constexpr uint64_t largest_count = uint64_t{1} << 30;

// A place in the file that cannot leave it.
class Cursor {
 public:
  Cursor(const std::string& path, const MappedFile& file)
      : path_(path), data_(file.data()), size_(file.size()) {}

  [[noreturn]] void refuse(const std::string& where, const std::string& what) const {
    throw FormatError(path_, where, what);
  }
  uint64_t place() const { return place_; }
  uint64_t left() const { return size_ - place_; }

  template <class T>
  T number(const std::string& where) {
    T value;
    std::memcpy(&value, take(sizeof value, where), sizeof value);
    return value;
  }
  std::string text(const std::string& where, uint64_t longest) {
    const auto length = number<uint64_t>(where);
    if (length > longest) refuse(where, fmt::format("a text of {} bytes where {} may be", length, longest));
    return {reinterpret_cast<const char*>(take(length, where)), length};
  }

 private:
  const std::byte* take(uint64_t bytes, const std::string& where) {
    if (bytes > left()) {
      refuse(where, fmt::format("{} bytes at {} pass the end of the file at {} (a truncated file?)", bytes,
                                place_, size_));
    }
    place_ += bytes;
    return data_ + place_ - bytes;
  }

  const std::string& path_;
  const std::byte* data_;
  uint64_t size_, place_ = 0;
};

template <class Wide>
Wide number_of(Cursor& c, uint32_t type, const std::string& key) {
  switch (type) {
    case u8:
      return static_cast<Wide>(c.number<uint8_t>(key));
    case i8:
      return static_cast<Wide>(c.number<int8_t>(key));
    case u16:
      return static_cast<Wide>(c.number<uint16_t>(key));
    case i16:
      return static_cast<Wide>(c.number<int16_t>(key));
    case u32:
      return static_cast<Wide>(c.number<uint32_t>(key));
    case i32:
      return static_cast<Wide>(c.number<int32_t>(key));
    case u64:
      return static_cast<Wide>(c.number<uint64_t>(key));
    case i64:
      return static_cast<Wide>(c.number<int64_t>(key));
    case f32:
      return static_cast<Wide>(c.number<float>(key));
    default:
      return static_cast<Wide>(c.number<double>(key));
  }
}

bool boolean_of(Cursor& c, const std::string& key) {
  const auto value = c.number<uint8_t>(key);
  if (value > 1) c.refuse(key, fmt::format("{} is neither true nor false", value));
  return value == 1;
}

uint64_t bytes_of(uint32_t type) {
  constexpr uint64_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};  // of a text or list at least
  return bytes[type];
}

GgufValue list_of(Cursor& c, const std::string& key) {
  const auto type = c.number<uint32_t>(key);
  const auto count = c.number<uint64_t>(key);
  if (type > f64) c.refuse(key, fmt::format("{} is no type of a value", type));
  if (type == array) c.refuse(key, "is a list of lists");
  if (count > largest_count || count > c.left() / bytes_of(type)) {
    c.refuse(key, fmt::format("{} values do not fit the {} bytes left of the file", count, c.left()));
  }
  const auto fill = [&]<class T>(std::vector<T> values, auto next) {
    values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) values.push_back(next());
    return GgufValue(std::move(values));
  };
  if (type == string) return fill(std::vector<std::string>(), [&] { return c.text(key, c.left()); });
  if (type == f32 || type == f64)
    return fill(std::vector<double>(), [&] { return number_of<double>(c, type, key); });
  if (type == boolean) return fill(std::vector<int64_t>(), [&] { return int64_t{boolean_of(c, key)}; });
  return fill(std::vector<int64_t>(), [&] { return number_of<int64_t>(c, type, key); });
}

GgufValue value_of(Cursor& c, const std::string& key) {
  const auto type = c.number<uint32_t>(key);
  switch (type) {
    case u8:
    case u16:
    case u32:
    case u64:
      return number_of<uint64_t>(c, type, key);
    case i8:
    case i16:
    case i32:
    case i64:
      return number_of<int64_t>(c, type, key);
    case f32:
    case f64:
      return number_of<double>(c, type, key);
    case boolean:
      return boolean_of(c, key);
    case string:
      return c.text(key, c.left());
    case array:
      return list_of(c, key);
    default:
      c.refuse(key, fmt::format("{} is no type of a value", type));
  }
}

// `begin` is still the offset within the data, `end` that plus the bytes.
GgufTensor tensor_of(Cursor& c) {
  GgufTensor t;
  t.name = c.text("the tensors' names", 64);
  const auto dimensions = c.number<uint32_t>(t.name);
  if (dimensions < 1 || dimensions > 4)
    c.refuse(t.name, fmt::format("has {} dimensions, the format allows 1 to 4", dimensions));
  t.shape.resize(dimensions);
  uint64_t elements = 1;
  for (size_t i = t.shape.size(); i-- > 0;) {
    const auto size = c.number<uint64_t>(t.name);
    if (size == 0 || size > largest_count * 2 || elements > (uint64_t{1} << 62) / size)
      c.refuse(t.name, fmt::format("a dimension of {} is out of range", size));
    elements *= size;
    t.shape[i] = static_cast<int64_t>(size);
  }
  t.type = static_cast<GgmlType>(c.number<uint32_t>(t.name));
  const GgmlBlock block = block_of(t.type);
  if (block.bytes == 0) {
    c.refuse(t.name,
             fmt::format("is stored as {}; F32, F16, BF16, Q4_0, Q4_1, Q8_0, Q4_K and Q6_K can be read",
                         name_of(t.type)));
  }
  if (t.shape.back() % block.weights != 0) {
    c.refuse(t.name, fmt::format("rows of {} are no whole blocks of {} ({})", t.shape.back(), block.weights,
                                 name_of(t.type)));
  }
  const uint64_t blocks = elements / static_cast<uint64_t>(block.weights);
  t.begin = c.number<uint64_t>(t.name);
  if (blocks > c.left() / static_cast<uint64_t>(block.bytes))
    c.refuse(t.name, fmt::format("shape {} ({}) does not fit the file", text_of(t.shape), name_of(t.type)));
  t.end = blocks * static_cast<uint64_t>(block.bytes);
  return t;
}

uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

GgufFile::GgufFile(const std::string& path) : path_(path), mapped_(path) {
  Cursor c(path_, mapped_);
  if (mapped_.size() < 24 || std::memcmp(mapped_.data(), "GGUF", 4) != 0) {
    c.refuse("", fmt::format("is no GGUF file ({} bytes)", mapped_.size()));
  }
  c.number<uint32_t>("");
  const auto version = c.number<uint32_t>("version");
  if ((version & 0xffff) == 0) c.refuse("version", "the file is big-endian");
  if (version != 2 && version != 3) c.refuse("version", fmt::format("{}; 2 and 3 can be read", version));
  const auto tensor_count = c.number<uint64_t>("tensor count"), key_count = c.number<uint64_t>("key count");
  // The shortest key has 8 + 1 + 4 + 1 bytes, the shortest tensor 8 + 1 + 4 + 8 + 4 + 8.
  if (key_count > c.left() / 14) c.refuse("key count", fmt::format("{} do not fit the file", key_count));
  for (uint64_t i = 0; i < key_count; ++i) {
    const std::string key = c.text("the keys", 65535);
    if (metadata_.contains(key)) c.refuse(key, "the key stands there twice");
    metadata_.emplace(key, value_of(c, key));
  }
  if (tensor_count > c.left() / 33) {
    c.refuse("tensor count", fmt::format("{} do not fit the file", tensor_count));
  }
  std::set<std::string> names;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    tensors_.push_back(tensor_of(c));
    if (!names.insert(tensors_.back().name).second)
      c.refuse(tensors_.back().name, "the tensor is there twice");
  }
  if (integer("split.count").value_or(1) > 1) {
    c.refuse("split.count", "the model is split into several files: join them first");
  }
  const int64_t alignment = integer("general.alignment").value_or(32);
  if (alignment < 8 || alignment > 1 << 20 || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    c.refuse("general.alignment", fmt::format("{} is no power of two from 8 on", alignment));
  }
  const uint64_t start = round_up(c.place(), static_cast<uint64_t>(alignment));
  uint64_t offset = 0;
  for (GgufTensor& t : tensors_) {
    const uint64_t bytes = t.end;
    if (t.begin != offset) {
      c.refuse(t.name,
               fmt::format("begins at {} of the data, the tensors before it end at {}", t.begin, offset));
    }
    if (start > mapped_.size() || offset > mapped_.size() - start ||
        bytes > mapped_.size() - start - offset) {
      c.refuse(t.name, fmt::format("{} bytes at {} pass the end of the file at {} (a truncated file?)", bytes,
                                   start + offset, mapped_.size()));
    }
    t.begin = start + offset;
    t.end = t.begin + bytes;
    offset = round_up(offset + bytes, static_cast<uint64_t>(alignment));
  }
}

template <class T>
const T* GgufFile::value(const std::string& key, const char* kind) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return nullptr;
  const T* held = std::get_if<T>(&found->second);
  if (held == nullptr) throw FormatError(path_, key, std::string("must be ").append(kind));
  return held;
}

std::optional<int64_t> GgufFile::integer(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return std::nullopt;
  if (const auto* signed_value = std::get_if<int64_t>(&found->second)) return *signed_value;
  const uint64_t held = *value<uint64_t>(key, "a whole number");
  if (held > uint64_t{1} << 62) throw FormatError(path_, key, fmt::format("{} is out of range", held));
  return static_cast<int64_t>(held);
}

std::optional<double> GgufFile::real(const std::string& key) const {
  const double* held = value<double>(key, "a number with a fraction");
  return held == nullptr ? std::nullopt : std::optional(*held);
}

std::optional<bool> GgufFile::flag(const std::string& key) const {
  const bool* held = value<bool>(key, "true or false");
  return held == nullptr ? std::nullopt : std::optional(*held);
}

std::optional<std::string> GgufFile::text(const std::string& key) const {
  const auto* held = value<std::string>(key, "a text");
  return held == nullptr ? std::nullopt : std::optional(*held);
}

std::vector<std::string> GgufFile::texts(const std::string& key) const {
  const auto* held = value<std::vector<std::string>>(key, "a list of texts");
  return held == nullptr ? std::vector<std::string>() : *held;
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  const auto* held = value<std::vector<int64_t>>(key, "a list of whole numbers");
  return held == nullptr ? std::vector<int64_t>() : *held;
}

std::vector<double> GgufFile::reals(const std::string& key) const {
  const auto* held = value<std::vector<double>>(key, "a list of numbers");
  return held == nullptr ? std::vector<double>() : *held;
}

std::optional<int64_t> GgufFile::same_integer(const std::string& key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end() || !std::holds_alternative<std::vector<int64_t>>(found->second))
    return integer(key);
  const std::vector<int64_t> values = integers(key);
  for (const int64_t v : values) {
    if (v != values.front()) throw FormatError(path_, key, "differs between layers");
  }
  if (values.empty()) throw FormatError(path_, key, "is empty");
  return values.front();
}

}  // namespace lethe
