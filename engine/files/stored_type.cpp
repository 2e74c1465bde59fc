#include "engine/files/stored_type.h"

#include <array>

namespace lethe {
namespace {

struct Row {
  std::string_view name;
  int64_t bits;
};

// Indexed by StoredType.
constexpr std::array<Row, 22> rows = {
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};
static_assert(rows[static_cast<size_t>(StoredType::f32)].name == "F32");
static_assert(rows[static_cast<size_t>(StoredType::u64)].name == "U64");

}  // namespace

std::string_view name_of(StoredType type) {
  return rows[static_cast<size_t>(type)].name;
}

int64_t bits_of(StoredType type) {
  return rows[static_cast<size_t>(type)].bits;
}

std::optional<StoredType> stored_type_named(std::string_view name) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return static_cast<StoredType>(i);
  }
  return std::nullopt;
}

StoredType stored_type_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return StoredType::f64;
    case DType::f32:
      return StoredType::f32;
    case DType::bf16:
      return StoredType::bf16;
    case DType::i64:
      return StoredType::i64;
    case DType::i32:
      return StoredType::i32;
    case DType::u16:
      return StoredType::u16;
  }
  return StoredType::f32;
}

bool is_float(StoredType type) {
  return type == StoredType::f32 || type == StoredType::f16 || type == StoredType::bf16 ||
         type == StoredType::f64;
}

}  // namespace lethe
