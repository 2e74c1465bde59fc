// A GGUF file field by field, right or wrong.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lethe::test {

struct GgufBytes {
  std::string bytes;

  template <class T>
  GgufBytes& put(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& text(std::string_view value) {
    put(static_cast<uint64_t>(value.size()));
    bytes += value;
    return *this;
  }
  GgufBytes& header(uint32_t version, uint64_t tensors, uint64_t keys) {
    bytes += "GGUF";
    return put(version).put(tensors).put(keys);
  }
  GgufBytes& key(std::string_view name, uint32_t type) { return text(name).put(type); }
  // `sizes`: the innermost first, as the file has them.
  GgufBytes& tensor(std::string_view name, std::initializer_list<uint64_t> sizes, uint32_t type,
                    uint64_t offset) {
    text(name).put(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) put(size);
    return put(type).put(offset);
  }
  GgufBytes& pad(size_t alignment) {
    bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    return *this;
  }
  GgufBytes& zeros(size_t count) {
    bytes.append(count, '\0');
    return *this;
  }
};

}  // namespace lethe::test
