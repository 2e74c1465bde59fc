// Element types, and the one place that turns a runtime dtype into a C++ type.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/error.h"
#include "kernels/bf16.h"

namespace lethe {

enum class DType : uint8_t { f64, f32, bf16, i64, i32 };

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "float64";
    case DType::f32:
      return "float32";
    case DType::bf16:
      return "bfloat16";
    case DType::i64:
      return "int64";
    case DType::i32:
      return "int32";
  }
  return "?";
}

constexpr bool is_float(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::bf16;
}

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}

// The dtype arithmetic is done in: f64 for f64, f32 for f32 and bf16.
constexpr DType compute_dtype(DType dtype) {
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

// Calls body.template operator()<T>() with the C++ type of a floating dtype:
//   dispatch_float(dtype, "rmsnorm", [&]<class T>() { kernel<T>(...); });
template <class Body>
void dispatch_float(DType dtype, std::string_view who, const Body& body) {
  switch (dtype) {
    case DType::f64:
      return body.template operator()<double>();
    case DType::f32:
      return body.template operator()<float>();
    case DType::bf16:
      return body.template operator()<bf16>();
    default:
      throw ShapeError(std::string(who), "needs a floating dtype, got " + std::string(name_of(dtype)));
  }
}

// Which dtype each role of a tensor has. Nothing else branches on a dtype by hand.
struct Precision {
  DType weights = DType::f32;    // parameters as the model reads them
  DType compute = DType::f32;    // activations and their gradients
  DType gradients = DType::f32;  // gradients of parameters, summed over micro-batches
  DType optimizer = DType::f32;  // moments, and master weights where weights are narrower

  static Precision f64() { return {DType::f64, DType::f64, DType::f64, DType::f64}; }
  static Precision f32() { return {}; }
  static Precision bf16() { return {DType::bf16, DType::bf16, DType::f32, DType::f32}; }
};

}  // namespace lethe
