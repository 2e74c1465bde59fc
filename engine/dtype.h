// Element types, and the one place that turns a runtime dtype into a C++ type.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/error.h"
#include "kernels/bf16.h"

namespace lethe {

enum class DType : uint8_t { f64, f32, bf16, i64, i32, u16 };

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::u16:
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
    case DType::u16:
      return "uint16";
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
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}

// The dtype arithmetic is done in: f64 for f64, f32 for f32 and bf16.
constexpr DType compute_dtype(DType dtype) {
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

// The one of two floating dtypes that holds more.
constexpr DType wider(DType a, DType b) {
  return size_of(a) < size_of(b) ? b : a;
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

// Where the exact value of a weight is kept that is stored narrower than its optimizer computes.
enum class Master : uint8_t {
  none,   // the weight itself: it has the optimizer's dtype, or is rounded at random (bf16 state)
  whole,  // a copy in the optimizer's dtype
  split,  // the float whose nearest bf16 the weight is, as the weight and 16 bits more: exact in 4 bytes
};

// Which dtype each role of a tensor has. Nothing else branches on a dtype by hand.
struct Precision {
  DType weights = DType::f32;    // parameters as the model reads them
  DType compute = DType::f32;    // activations and their gradients
  DType gradients = DType::f32;  // of matrices, summed over micro-batches; State::gradient_of has the rule
  DType optimizer = DType::f32;  // moments
  Master master = Master::none;  // of weights narrower than the moments

  static Precision f64() { return {DType::f64, DType::f64, DType::f64, DType::f64}; }
  static Precision f32() { return {}; }
  // Gradients and moments in float32, the weights' exact value too.
  static Precision bf16() { return {DType::bf16, DType::bf16, DType::f32, DType::f32, Master::split}; }
  // 8 bytes a weight for weight, gradient and both moments, all of them rounded at random where they are
  // updated.
  static Precision bf16_state() { return {DType::bf16, DType::bf16, DType::bf16, DType::bf16}; }

  // Small trained tensors beside frozen weights are never narrower than float32, as PEFT keeps them.
  DType adapters() const { return compute_dtype(weights); }
  // Moments are never narrower than the parameter they belong to.
  DType moments_of(DType parameter) const { return wider(parameter, optimizer); }
  Master master_of(DType parameter) const {
    return size_of(parameter) < size_of(optimizer) ? master : Master::none;
  }
};

}  // namespace lethe
