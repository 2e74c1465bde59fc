// What every kernel test needs: matrices with a pitch, of any storage type, and bounds for rounding.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/rng.h"
#include "kernels/rows.h"
#include "tests/kernels/threads.h"

extern "C" void openblas_set_num_threads(int);

namespace lethe::test {

// The kernels split their work themselves and expect OpenBLAS to use the calling thread alone.
class KernelTest : public testing::Test {
 protected:
  void SetUp() override { openblas_set_num_threads(1); }

 private:
  Threads threads_{2};
};

// Half the distance from 1 to the next number: the largest relative error of one rounding.
template <class T>
constexpr double rounding() {
  return std::is_same_v<T, double> ? 0x1p-53 : std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;
}

template <class T>
double to_double(T value) {
  return static_cast<double>(static_cast<compute_t<T>>(value));
}

// A matrix whose rows lie `pitch` apart; what lies between them must stay as it is.
template <class T>
class Matrix {
 public:
  Matrix(int64_t rows, int64_t width, int64_t pitch = 0)
      : rows_(rows), width_(width), pitch_(pitch ? pitch : width), data_(static_cast<size_t>(rows * pitch_)) {
    for (T& v : data_) v = static_cast<T>(static_cast<compute_t<T>>(kPadding));
  }
  Matrix(int64_t rows, int64_t width, int64_t pitch, uint64_t seed, double spread = 1)
      : Matrix(rows, width, pitch) {
    const Rng rng(seed, 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < width; ++c) {
        const double value = spread * rng.normal(static_cast<uint64_t>(r * width + c));
        at(r, c) = static_cast<T>(static_cast<compute_t<T>>(value));
      }
  }

  T& at(int64_t r, int64_t c) { return data_[static_cast<size_t>(r * pitch_ + c)]; }
  double operator()(int64_t r, int64_t c) const {
    return to_double(data_[static_cast<size_t>(r * pitch_ + c)]);
  }
  kernels::Rows<T> rows() { return {data_.data(), rows_, width_, pitch_}; }
  kernels::Rows<const T> view() const { return {data_.data(), rows_, width_, pitch_}; }

  bool padding_untouched() const {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = width_; c < pitch_; ++c)
        if ((*this)(r, c) != kPadding) return false;
    return true;
  }
  bool same_bits(const Matrix& other) const {
    return data_.empty() || std::memcmp(data_.data(), other.data_.data(), data_.size() * sizeof(T)) == 0;
  }

 private:
  static constexpr double kPadding = 77;
  int64_t rows_, width_, pitch_;
  std::vector<T> data_;
};

}  // namespace lethe::test
