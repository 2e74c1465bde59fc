#include "engine/files/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "engine/files/json_file.h"

namespace lethe {
namespace {

using nlohmann::json;

SafetensorsMetadata parse_metadata(const std::string& file, const json& value) {
  if (!value.is_object())
    throw FormatError(file, "__metadata__", "must be an object, is " + short_text(value));
  SafetensorsMetadata metadata;
  for (const auto& [key, item] : value.items()) {
    if (!item.is_string()) {
      throw FormatError(file, "__metadata__",
                        fmt::format("'{}' must be a string, is {}", key, short_text(item)));
    }
    metadata[key] = item.get<std::string>();
  }
  return metadata;
}

uint64_t whole_number(const std::string& file, const std::string& tensor, const char* field,
                      const json& value) {
  const bool fits = value.is_number_unsigned() &&
                    value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!fits) {
    throw FormatError(
        file, tensor,
        fmt::format("{} holds {}, not a whole number from 0 to 2^63-1", field, short_text(value)));
  }
  return value.get<uint64_t>();
}

void require_fields(const std::string& file, const std::string& tensor, const json& value) {
  if (!value.is_object()) throw FormatError(file, tensor, "must be an object, is " + short_text(value));
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(field)) throw FormatError(file, tensor, fmt::format("has no field '{}'", field));
  }
  for (const auto& [key, item] : value.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      throw FormatError(file, tensor, fmt::format("has the unknown field '{}' = {}", key, short_text(item)));
    }
  }
}

SafetensorsEntry parse_entry(const std::string& file, const std::string& name, const json& value) {
  require_fields(file, name, value);
  SafetensorsEntry entry;
  entry.name = name;
  const json& dtype = value["dtype"];
  const auto type = dtype.is_string() ? stored_type_named(dtype.get<std::string>()) : std::nullopt;
  if (!type) throw FormatError(file, name, "unknown dtype " + short_text(dtype));
  entry.type = *type;

  const json& shape = value["shape"];
  if (!shape.is_array()) throw FormatError(file, name, "shape must be a list, is " + short_text(shape));
  for (const json& dimension : shape) {
    entry.shape.push_back(static_cast<int64_t>(whole_number(file, name, "shape", dimension)));
  }
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    throw FormatError(file, name, "data_offsets must be [begin, end], is " + short_text(offsets));
  }
  entry.begin = whole_number(file, name, "data_offsets", offsets[0]);
  entry.end = whole_number(file, name, "data_offsets", offsets[1]);

  const uint64_t bytes = tensor_bytes(file, name, entry.type, entry.shape);
  if (entry.end < entry.begin) {
    throw FormatError(file, name,
                      fmt::format("data_offsets [{}, {}] end before they begin", entry.begin, entry.end));
  }
  if (entry.end - entry.begin != bytes) {
    throw FormatError(
        file, name,
        fmt::format("data_offsets [{}, {}] hold {} bytes, but {} {} needs {}", entry.begin, entry.end,
                    entry.end - entry.begin, name_of(entry.type), text_of(entry.shape), bytes));
  }
  return entry;
}

// The bytes of the entries, in order, must be the data from its first to its last byte.
void require_contiguous(const std::string& file, const std::vector<SafetensorsEntry>& entries,
                        uint64_t data_bytes) {
  uint64_t end = 0;
  const SafetensorsEntry* before = nullptr;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != end) {
      const std::string place =
          before ? fmt::format("'{}' ends at {}", before->name, end) : "the data begin at 0";
      throw FormatError(file, entry.name,
                        entry.begin > end ? fmt::format("begins at {}, but {}: a hole of {} bytes",
                                                        entry.begin, place, entry.begin - end)
                                          : fmt::format("begins at {}, but {}: an overlap of {} bytes",
                                                        entry.begin, place, end - entry.begin));
    }
    end = entry.end;
    before = &entry;
  }
  if (end == data_bytes) return;
  const std::string last = before ? before->name : "";
  throw FormatError(
      file, last,
      end < data_bytes
          ? fmt::format("the tensors end at byte {} of the data, but the file holds {}: {} trailing bytes",
                        end, data_bytes, data_bytes - end)
          : fmt::format("the tensors end at byte {} of the data, but the file holds {}: {} bytes are "
                        "missing (a truncated file?)",
                        end, data_bytes, end - data_bytes));
}

}  // namespace

int64_t SafetensorsEntry::rows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

uint64_t tensor_bytes(const std::string& file, const std::string& name, StoredType type, const Shape& shape) {
  int64_t elements = 1, bits = 0;
  bool fits = true;
  for (const int64_t dimension : shape) {
    fits = fits && dimension >= 0 && !__builtin_mul_overflow(elements, dimension, &elements);
  }
  if (!fits) {
    throw FormatError(file, name,
                      fmt::format("shape {} has more elements than 63 bits count", text_of(shape)));
  }
  if (__builtin_mul_overflow(elements, bits_of(type), &bits)) {
    throw FormatError(file, name,
                      fmt::format("{} {} has more bits than 63 bits count", name_of(type), text_of(shape)));
  }
  if (bits % 8 != 0) {
    throw FormatError(
        file, name,
        fmt::format("{} {} has {} bits, no whole number of bytes", name_of(type), text_of(shape), bits));
  }
  return static_cast<uint64_t>(bits / 8);
}

SafetensorsHeader parse_header(const std::string& file, std::string_view text, uint64_t data_bytes) {
  if (text.empty() || text.front() != '{') throw FormatError(file, "", "the header does not begin with '{'");
  const json root = parse_json(file, text);
  SafetensorsHeader header;
  for (const auto& [name, value] : root.items()) {
    if (name == "__metadata__") {
      header.metadata = parse_metadata(file, value);
    } else {
      header.entries.push_back(parse_entry(file, name, value));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  require_contiguous(file, header.entries, data_bytes);
  return header;
}

std::string header_text(const std::string& file, const SafetensorsHeader& header) {
  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  if (!header.metadata.empty()) root["__metadata__"] = header.metadata;
  std::string text;
  try {
    // Entries are put together here: an ordered object would search all its keys at each insertion.
    text = root.dump();
    text.pop_back();
    for (const SafetensorsEntry& entry : header.entries) {
      if (text.size() > 1) text += ',';
      nlohmann::ordered_json item;
      item["dtype"] = name_of(entry.type);
      item["shape"] = entry.shape;
      item["data_offsets"] = {entry.begin, entry.end};
      text += json(entry.name).dump() + ':' + item.dump();
    }
  } catch (const json::exception& error) {
    throw FormatError(file, "", fmt::format("the header cannot be written: {}", error.what()));
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > max_header_bytes) {
    throw FormatError(
        file, "",
        fmt::format("the header would have {} bytes, the format allows {}", text.size(), max_header_bytes));
  }
  return text;
}

}  // namespace lethe
