// CPython's set of small whole numbers, in the order in which it is walked through: the gauntlet's examples
// stand in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lethe::eval {

// A value's hash is the value; where a value goes, and when the table grows, is that of Objects/setobject.c
// (CPython 3.11).
class PythonSet {
 public:
  PythonSet() : slots_(8, kEmpty) {}

  bool contains(int64_t value) const;
  // value >= 0. Nothing happens where it is there.
  void insert(int64_t value);
  // Leaves its place marked, which a later value may take.
  void erase(int64_t value);
  std::vector<int64_t> values() const;

 private:
  static constexpr int64_t kEmpty = -1, kErased = -2;

  // The place of the value or, where it is not in the table, that in which it would be put.
  size_t place_of(int64_t value) const;
  void grow();

  std::vector<int64_t> slots_;
  size_t filled_ = 0, used_ = 0;  // with and without the erased
};

}  // namespace lethe::eval
