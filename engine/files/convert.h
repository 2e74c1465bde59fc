// Elements as a file stores them to elements as the engine holds them, and back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/files/stored_type.h"

namespace lethe {

// Whether the two functions below know the pair: any of F64, F32, F16, BF16 with any floating dtype; I32 with
// int32 and int64; I64 with int64.
bool convertible(StoredType stored, DType dtype);

// Each copies `count` elements, rounding once to nearest, ties to even; neither side need be aligned. The
// pair must be convertible (ShapeError). Returns the index of the first finite value that the target's range
// turned infinite, or -1.
int64_t from_stored(StoredType stored, const std::byte* source, int64_t count, DType dtype, void* target);
int64_t to_stored(DType dtype, const void* source, int64_t count, StoredType stored, std::byte* target);

}  // namespace lethe
