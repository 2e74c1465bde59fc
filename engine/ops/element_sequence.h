// The elements of several tensors one after the other, gaps between rows left out: what collectives send, a
// piece at a time.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/tensor.h"

namespace lethe::ops {

// Tensors of one dtype in the host's memory. Two sequences over the same tensors keep a place each.
class ElementSequence {
 public:
  void add(const Buffer& tensor) {
    if (tensor.rows * tensor.width > 0) tensors_.push_back(tensor);
  }
  // The next `count` elements to `to`, or from `from` into the tensors. There must be so many.
  void read(std::byte* to, int64_t count) {
    move(count, [&](std::byte* at, size_t bytes) {
      std::memcpy(to, at, bytes);
      to += bytes;
    });
  }
  void write(const std::byte* from, int64_t count) {
    move(count, [&](std::byte* at, size_t bytes) {
      std::memcpy(at, from, bytes);
      from += bytes;
    });
  }

 private:
  // Calls body with stretches that lie without gaps.
  template <class Body>
  void move(int64_t count, const Body& body) {
    while (count > 0) {
      const Buffer& b = tensors_[tensor_];
      const int64_t size = size_of(b.dtype);
      const bool dense = b.pitch == b.width;
      const int64_t row = dense ? 0 : done_ / b.width, length = dense ? b.rows * b.width : b.width;
      const int64_t column = done_ - row * b.width, n = std::min(count, length - column);
      body(static_cast<std::byte*>(b.data) + (row * b.pitch + column) * size, static_cast<size_t>(n * size));
      count -= n;
      done_ += n;
      if (done_ < b.rows * b.width) continue;
      ++tensor_;
      done_ = 0;
    }
  }

  std::vector<Buffer> tensors_;
  size_t tensor_ = 0;
  int64_t done_ = 0;  // elements of that tensor
};

}  // namespace lethe::ops
