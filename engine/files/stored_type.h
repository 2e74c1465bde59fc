// The element types a safetensors file can name, whether or not Lethe computes with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/dtype.h"

namespace lethe {

// In the format's alignment order, low to high: a writer lays tensors out from the last to the first.
// clang-format off
enum class StoredType : uint8_t {
  boolean, f4, f6_e2m3, f6_e3m2, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, f8_e4m3fnuz, f8_e5m2fnuz,
  i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64
};
// clang-format on

// As written in a header: "F32".
std::string_view name_of(StoredType type);
// Bits of one element: 4 to 64.
int64_t bits_of(StoredType type);
// The type a header names, or nothing for an unknown name.
std::optional<StoredType> stored_type_named(std::string_view name);
// The type that holds the engine's dtype exactly.
StoredType stored_type_of(DType dtype);
// F32, F16, BF16 or F64: what a model's weights may be stored as.
bool is_float(StoredType type);

}  // namespace lethe
