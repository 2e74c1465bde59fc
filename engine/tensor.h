// What a tensor is before anything is allocated: its shape, its place in a program and what it is for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/dtype.h"
#include "kernels/rows.h"

namespace lethe {

using Shape = std::vector<int64_t>;

int64_t elements_of(const Shape& shape);
std::string text_of(const Shape& shape);  // "[3, 1025]"

// What the bytes are for; the plan is printed by these.
enum class Kind : uint8_t { weight, gradient, optimizer, activation, workspace, input, step_value, cache };
std::string_view name_of(Kind kind);

// A handle to a tensor of one tape.
struct Var {
  int32_t id = -1;
  bool valid() const { return id >= 0; }
  bool operator==(const Var&) const = default;
};

// Seen by kernels as `rows()` rows of `width()` elements, `pitch` elements apart; the rows are all dimensions
// but the last. A view lies `offset` elements into its parent's buffer.
struct TensorInfo {
  std::string path;  // "layers.3.attention.qkv"
  DType dtype = DType::f32;
  Shape shape;
  int64_t pitch = 0;
  Kind kind = Kind::activation;
  int32_t persistent = -1;  // index into State, or -1 for a tensor that lives within one run of a program
  Var parent;               // of a view
  int64_t offset = 0;       // of a view, in elements of the parent
  Var length;               // a device-resident count of the rows in use; invalid: all of them

  int64_t width() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return shape.empty() ? 1 : elements_of(shape) / (width() ? width() : 1); }
  int64_t elements() const { return elements_of(shape); }
  // Bytes of the buffer, padding between rows included.
  int64_t bytes() const { return rows() * pitch * size_of(dtype); }
};

// A tensor with memory behind it, as a backend hands it to an operation.
struct Buffer {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, width = 0, pitch = 0;

  // The typed view for a kernel; T must be the C++ type of dtype (checked).
  template <class T>
  kernels::Rows<T> as() const {
    using Stored = std::remove_const_t<T>;
    if (dtype_of<Stored>() != dtype) {
      throw ShapeError("buffer", std::string("read as ") + std::string(name_of(dtype_of<Stored>())) +
                                     " but holds " + std::string(name_of(dtype)));
    }
    return {static_cast<T*>(data), rows, width, pitch};
  }
  template <class T>
  T& scalar() const {
    return *as<T>().data;
  }
};

}  // namespace lethe
