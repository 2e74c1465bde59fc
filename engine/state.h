// The tensors that outlive a program: weights, their gradients, the optimizer's state, inputs and step
// values. Programs refer to them by index; the planner gives each a place that all programs share.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "engine/tensor.h"

namespace lethe {

struct PersistentInfo {
  std::string name;  // "model.layers.0.self_attn.qkv.weight"
  DType dtype = DType::f32;
  Shape shape;
  Kind kind = Kind::weight;
  bool trainable = false;
  int64_t pitch = 0;        // 0: the width
  int32_t parent = -1;      // of a view, such as q_proj inside a merged qkv
  int64_t offset = 0;       // of a view, in elements of the parent
  bool is_storage = false;  // only holds others: has no value of its own to load, save or fill
  int owner = -1;           // of several ranks the one that holds it; -1: each holds it
  bool absent = false;      // another rank holds it: no memory here, and no program may use it

  int64_t width() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return elements_of(shape) / (width() ? width() : 1); }
  int64_t bytes() const { return absent ? 0 : rows() * pitch * size_of(dtype); }  // on this rank
};

class State {
 public:
  // Adds a tensor and returns its index. Throws ShapeError for a name that is taken or a negative dimension.
  int32_t declare(PersistentInfo info);
  // A named part of a declared tensor: rows [first_row, first_row + shape.rows) of it, all columns.
  int32_t declare_rows(const std::string& name, int32_t parent, int64_t first_row, int64_t row_count);
  // The same for a block of rows and columns.
  int32_t declare_block(const std::string& name, int32_t parent, int64_t first_row, int64_t row_count,
                        int64_t first_column, int64_t column_count);

  // Index of a name, or -1.
  int32_t find(const std::string& name) const;
  // Index of a name; throws ShapeError if there is none.
  int32_t require(const std::string& name) const;

  // Whether a tensor has values that are no part of another's: neither mere storage nor a view, other than of
  // storage.
  bool is_whole(int32_t index) const;

  const PersistentInfo& operator[](int32_t index) const { return infos_[static_cast<size_t>(index)]; }
  int32_t size() const { return static_cast<int32_t>(infos_.size()); }
  void set_trainable(int32_t index, bool trainable) {
    infos_[static_cast<size_t>(index)].trainable = trainable;
  }

  // The rank that holds a tensor, and whether another one does: of its views too. The tensor is no view.
  void set_owner(int32_t index, int owner, bool absent);

  // The gradient that belongs to a parameter, declared on first use with the given dtype, or a wider one: it
  // is never narrower than the parameter, and that of a vector (a gain sums over all tokens) never narrower
  // than float32.
  int32_t gradient_of(int32_t parameter, DType dtype);
  // The same if it was declared, else -1.
  int32_t find_gradient(int32_t parameter) const {
    return find(gradient_name(infos_[static_cast<size_t>(parameter)].name));
  }
  static std::string gradient_name(const std::string& parameter) { return "gradient/" + parameter; }

  // Indices of all trainable tensors that are not views, in order of declaration.
  std::vector<int32_t> trainable() const;

 private:
  std::vector<PersistentInfo> infos_;
  std::unordered_map<std::string, int32_t> index_;
};

}  // namespace lethe
