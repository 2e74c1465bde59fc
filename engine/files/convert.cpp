#include "engine/files/convert.h"

#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>

#include "engine/files/half.h"

namespace lethe {
namespace {

template <class T>
T load(const std::byte* bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes + i * static_cast<int64_t>(sizeof(T)), sizeof value);
  return value;
}

// A float or double that equals the element.
template <class T>
auto widened(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<float>(value);
  }
}

template <class Target, class Source>
Target rounded(Source value) {
  constexpr bool narrow = !std::is_same_v<Target, float> && !std::is_same_v<Target, double>;
  if constexpr (narrow && std::is_same_v<Source, double>) {
    return static_cast<Target>(rounded_to_odd(value));
  } else {
    return static_cast<Target>(value);
  }
}

template <class Source, class Target>
bool overflows(Source from, Target to) {
  return std::isfinite(widened(from)) && !std::isfinite(widened(to));
}

template <class Source, class Target>
int64_t convert(const std::byte* source, int64_t count, std::byte* target) {
  if constexpr (std::is_same_v<Source, Target>) {
    if (count > 0) std::memcpy(target, source, static_cast<size_t>(count) * sizeof(Target));
    return -1;
  } else {
    bool lost = false;
    for (int64_t i = 0; i < count; ++i) {
      const Source from = load<Source>(source, i);
      const Target to = rounded<Target>(widened(from));
      lost |= overflows(from, to);
      std::memcpy(target + i * static_cast<int64_t>(sizeof(Target)), &to, sizeof to);
    }
    if (!lost) return -1;
    int64_t first = 0;
    while (!overflows(load<Source>(source, first), load<Target>(target, first))) ++first;
    return first;
  }
}

// Calls body.template operator()<T>() with the C++ type of a stored float.
template <class Body>
int64_t dispatch_stored(StoredType stored, const Body& body) {
  switch (stored) {
    case StoredType::f64:
      return body.template operator()<double>();
    case StoredType::f32:
      return body.template operator()<float>();
    case StoredType::f16:
      return body.template operator()<f16>();
    default:
      return body.template operator()<bf16>();
  }
}

void require_convertible(StoredType stored, DType dtype) {
  if (convertible(stored, dtype)) return;
  throw ShapeError("conversion", "no way between stored " + std::string(name_of(stored)) + " and " +
                                     std::string(name_of(dtype)));
}

}  // namespace

bool convertible(StoredType stored, DType dtype) {
  if (is_float(dtype)) return is_float(stored);
  if (stored == StoredType::i32) return true;
  return stored == StoredType::i64 && dtype == DType::i64;
}

int64_t from_stored(StoredType stored, const std::byte* source, int64_t count, DType dtype, void* target) {
  require_convertible(stored, dtype);
  auto* bytes = static_cast<std::byte*>(target);
  int64_t overflow = -1;
  if (is_float(dtype)) {
    dispatch_float(dtype, "conversion", [&]<class Target>() {
      overflow = dispatch_stored(
          stored, [&]<class Source>() { return convert<Source, Target>(source, count, bytes); });
    });
  } else if (stored == StoredType::i32 && dtype == DType::i64) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t value = load<int32_t>(source, i);
      std::memcpy(bytes + i * 8, &value, sizeof value);
    }
  } else if (count > 0) {
    std::memcpy(target, source, static_cast<size_t>(count * size_of(dtype)));
  }
  return overflow;
}

int64_t to_stored(DType dtype, const void* source, int64_t count, StoredType stored, std::byte* target) {
  if (stored == StoredType::i32 && dtype == DType::i64) {
    throw ShapeError("conversion", "int64 is stored as I64, not I32");
  }
  require_convertible(stored, dtype);
  const auto* bytes = static_cast<const std::byte*>(source);
  int64_t overflow = -1;
  if (is_float(dtype)) {
    dispatch_float(dtype, "conversion", [&]<class Source>() {
      overflow = dispatch_stored(
          stored, [&]<class Target>() { return convert<Source, Target>(bytes, count, target); });
    });
  } else if (count > 0) {
    std::memcpy(target, source, static_cast<size_t>(count * size_of(dtype)));
  }
  return overflow;
}

}  // namespace lethe
