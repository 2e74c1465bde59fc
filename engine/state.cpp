#include "engine/state.h"

#include <fmt/format.h>

#include <algorithm>

namespace lethe {

int32_t State::declare(PersistentInfo info) {
  if (index_.contains(info.name)) throw ShapeError(info.name, "declared twice");
  if (std::ranges::any_of(info.shape, [](int64_t d) { return d < 0; })) {
    throw ShapeError(info.name, "has a negative dimension in " + text_of(info.shape));
  }
  if (info.pitch == 0) info.pitch = info.width();
  if (info.pitch < info.width()) {
    throw ShapeError(info.name, fmt::format("row pitch {} is below the width {}", info.pitch, info.width()));
  }
  const int32_t index = size();
  index_.emplace(info.name, index);
  infos_.push_back(std::move(info));
  return index;
}

int32_t State::declare_rows(const std::string& name, int32_t parent, int64_t first_row, int64_t row_count) {
  return declare_block(name, parent, first_row, row_count, 0, (*this)[parent].width());
}

int32_t State::declare_block(const std::string& name, int32_t parent, int64_t first_row, int64_t row_count,
                             int64_t first_column, int64_t column_count) {
  const PersistentInfo whole = (*this)[parent];
  const auto inside = [](int64_t first, int64_t count, int64_t all) {
    return first >= 0 && count >= 0 && first + count <= all;
  };
  if (!inside(first_row, row_count, whole.rows()) || !inside(first_column, column_count, whole.width())) {
    throw ShapeError(name, fmt::format("rows {} to {} and columns {} to {} lie outside {} {}", first_row,
                                       first_row + row_count, first_column, first_column + column_count,
                                       whole.name, text_of(whole.shape)));
  }
  PersistentInfo part = whole;
  part.name = name;
  part.shape = {row_count, column_count};
  part.parent = parent;
  part.offset = first_row * whole.pitch + first_column;
  part.is_storage = false;
  return declare(std::move(part));
}

int32_t State::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? -1 : it->second;
}

int32_t State::require(const std::string& name) const {
  const int32_t index = find(name);
  if (index < 0) throw ShapeError(name, "no such tensor");
  return index;
}

bool State::is_whole(int32_t index) const {
  const PersistentInfo& p = (*this)[index];
  return !p.is_storage && (p.parent < 0 || (*this)[p.parent].is_storage);
}

int32_t State::gradient_of(int32_t parameter, DType dtype) {
  const PersistentInfo& p = (*this)[parameter];
  const std::string name = gradient_name(p.name);
  if (const int32_t found = find(name); found >= 0) return found;
  const DType asked = p.shape.size() < 2 ? compute_dtype(dtype) : dtype;
  return declare({.name = name,
                  .dtype = wider(p.dtype, asked),
                  .shape = p.shape,
                  .kind = Kind::gradient,
                  .pitch = p.pitch});
}

void State::set_owner(int32_t index, int owner, bool absent) {
  const auto root = [&](int32_t i) {
    while ((*this)[i].parent >= 0) i = (*this)[i].parent;
    return i;
  };
  for (int32_t i = 0; i < size(); ++i) {
    if (root(i) != index) continue;
    infos_[static_cast<size_t>(i)].owner = owner;
    infos_[static_cast<size_t>(i)].absent = absent;
  }
}

std::vector<int32_t> State::trainable() const {
  std::vector<int32_t> found;
  for (int32_t i = 0; i < size(); ++i) {
    if ((*this)[i].trainable && (*this)[i].parent < 0) found.push_back(i);
  }
  return found;
}

}  // namespace lethe
