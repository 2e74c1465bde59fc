#include "engine/tape.h"

#include <fmt/format.h>

#include <algorithm>

namespace lethe {

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::forward:
      return "forward";
    case Phase::recompute:
      return "recompute";
    case Phase::backward:
      return "backward";
    case Phase::update:
      return "update";
  }
  return "?";
}

Traffic Op::traffic(const Node&, const Tape&) const {
  return {};
}

Cost Op::cost(const Node& node, const Tape& tape) const {
  Cost cost;
  const auto bytes = [&](Var v) {
    return static_cast<double>(tape.info(v).elements() * size_of(tape.info(v).dtype));
  };
  // An input that is given twice, or that is an output which is read anyway, comes in once.
  const auto read_before = [&](size_t i) {
    const Var v = node.inputs[i];
    const auto first = node.inputs.begin(), here = first + static_cast<std::ptrdiff_t>(i);
    return std::find(first, here, v) != here || std::ranges::any_of(node.outputs, [&](const Output& o) {
             return o.var == v && o.access != Access::overwrite;
           });
  };
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!read_before(i)) cost.bytes += bytes(node.inputs[i]);
  }
  for (const Output& o : node.outputs) {
    cost.bytes += bytes(o.var) * (o.access == Access::overwrite ? 1 : 2);
    cost.flops += static_cast<double>(tape.info(o.var).elements());
  }
  return cost;
}

int64_t Op::workspace(const Node&, const Tape&, const Device&) const {
  return 0;
}

void Op::run(const CudaLaunch&) const {
  throw DeviceError(std::string(name()), "has no kernel for CUDA in this build");
}

void Op::prepare(const CudaLaunch&) const {}

void Op::gradient(const Node&, GradientBuilder&) const {}

Var Tape::persistent(int32_t index) {
  if (static_cast<size_t>(index) >= persistent_vars_.size()) {
    persistent_vars_.resize(static_cast<size_t>(state_->size()), -1);
  }
  int32_t& id = persistent_vars_[static_cast<size_t>(index)];
  if (id >= 0) return {id};
  const PersistentInfo& p = (*state_)[index];
  if (p.absent) throw ShapeError(p.name, fmt::format("is held by rank {}", p.owner));
  TensorInfo t{.path = p.name,
               .dtype = p.dtype,
               .shape = p.shape,
               .pitch = p.pitch,
               .kind = p.kind,
               .persistent = index};
  if (p.parent >= 0) {
    t.parent = persistent(p.parent);
    t.offset = p.offset;
  }
  const Var var{static_cast<int32_t>(tensors_.size())};
  persistent_vars_[static_cast<size_t>(index)] = var.id;
  tensors_.push_back(std::move(t));
  writers_.emplace_back();
  was_read_.push_back(false);
  return var;
}

Var Tape::tensor(Shape shape, DType dtype, const std::string& name, Kind kind, int64_t pitch) {
  TensorInfo t{.path = path(name), .dtype = dtype, .shape = std::move(shape), .kind = kind};
  t.pitch = pitch ? pitch : t.width();
  if (t.pitch < t.width() || std::ranges::any_of(t.shape, [](int64_t d) { return d < 0; })) {
    throw ShapeError(t.path, fmt::format("pitch {} does not hold shape {}", t.pitch, text_of(t.shape)));
  }
  tensors_.push_back(std::move(t));
  writers_.emplace_back();
  was_read_.push_back(false);
  return {static_cast<int32_t>(tensors_.size()) - 1};
}

Var Tape::view(Var parent, int64_t offset, Shape shape, const std::string& name) {
  const TensorInfo p = info(parent);
  TensorInfo t = p;
  t.path = path(name);
  t.shape = std::move(shape);
  t.parent = parent;
  t.offset = offset;
  t.persistent = -1;
  const int64_t end = offset + (t.rows() ? (t.rows() - 1) * t.pitch + t.width() : 0);
  if (offset < 0 || t.width() > p.pitch || end > p.rows() * p.pitch) {
    throw ShapeError(t.path, fmt::format("view {} at {} lies outside {} {}", text_of(t.shape), offset, p.path,
                                         text_of(p.shape)));
  }
  tensors_.push_back(std::move(t));
  writers_.emplace_back();
  was_read_.push_back(false);
  return {static_cast<int32_t>(tensors_.size()) - 1};
}

Var Tape::columns(Var parent, int64_t first_column, int64_t count, const std::string& name) {
  const TensorInfo& p = info(parent);
  if (first_column < 0 || count < 0 || first_column + count > p.width()) {
    throw ShapeError(path(name), fmt::format("columns {} to {} lie outside {} {}", first_column,
                                             first_column + count, p.path, text_of(p.shape)));
  }
  return view(parent, first_column, {p.rows(), count}, name);
}

bool Tape::has_room(Var var, int64_t count) const {
  const TensorInfo& t = info(var);
  return !t.parent.valid() && t.pitch - t.width() >= count;
}

Var Tape::beside(Var var, int64_t count, const std::string& name) {
  const TensorInfo& t = info(var);
  if (!has_room(var, count)) {
    throw ShapeError(path(name), fmt::format("{} {} with pitch {} has no room for {} columns beside it",
                                             t.path, text_of(t.shape), t.pitch, count));
  }
  return view(var, t.width(), {t.rows(), count}, name);
}

Var Tape::root(Var var) const {
  while (info(var).parent.valid()) var = info(var).parent;
  return var;
}

int64_t Tape::offset_in_root(Var var) const {
  int64_t offset = 0;
  for (; info(var).parent.valid(); var = info(var).parent) offset += info(var).offset;
  return offset;
}

Var Tape::same_place(Var var, Var other_root) {
  if (!info(var).parent.valid()) return other_root;
  const TensorInfo t = info(var);
  const bool is_gradient = info(other_root).path.starts_with("gradient/") && !t.path.starts_with("gradient/");
  const Var made = view(other_root, offset_in_root(var), t.shape, "");
  rename(made, (is_gradient ? "gradient/" : "") + t.path);
  return made;
}

Node& Tape::append(std::shared_ptr<const Op> op, std::vector<Var> inputs, std::vector<Output> outputs,
                   const std::string& name) {
  Node node{.op = std::move(op), .inputs = std::move(inputs), .outputs = std::move(outputs)};
  node.path = name.empty() ? scope_ : path(name);
  node.phase = phase_;
  std::vector<int32_t> written;
  for (const Output& o : node.outputs) {
    const Var r = root(o.var);
    if (phase_ == Phase::forward && was_read_[static_cast<size_t>(r.id)] && info(r).persistent < 0) {
      throw ShapeError(node.path, info(r).path + " is written again after it was read");
    }
    std::vector<int32_t>& list = writers_[static_cast<size_t>(r.id)];
    const auto id = static_cast<int32_t>(nodes_.size());
    if (list.empty() || list.back() != id) list.push_back(id);
    written.push_back(r.id);
  }
  for (const Var v : node.inputs) {
    const Var r = root(v);
    if (std::ranges::find(written, r.id) == written.end()) was_read_[static_cast<size_t>(r.id)] = true;
  }
  nodes_.push_back(std::move(node));
  return nodes_.back();
}

void Tape::arrange(const std::vector<int32_t>& order) {
  std::vector<int32_t> place(nodes_.size(), -1);  // of each old node
  for (size_t n = 0; n < order.size(); ++n) {
    const auto old = static_cast<size_t>(order[n]);
    if (order.size() != nodes_.size() || old >= nodes_.size() || place[old] >= 0) {
      throw ShapeError(name_, fmt::format("{} places, the {}-th for node {}, are no order of {} nodes",
                                          order.size(), n, order[n], nodes_.size()));
    }
    place[old] = static_cast<int32_t>(n);
  }
  std::vector<Node> arranged;
  arranged.reserve(nodes_.size());
  for (const int32_t old : order) arranged.push_back(std::move(nodes_[static_cast<size_t>(old)]));
  nodes_ = std::move(arranged);
  for (std::vector<int32_t>& list : writers_) {
    for (int32_t& n : list) n = place[static_cast<size_t>(n)];
    std::ranges::sort(list);
  }
}

void Tape::make_transient(Var root) {
  TensorInfo& t = tensors_[static_cast<size_t>(root.id)];
  if (t.persistent < 0 || t.parent.valid()) throw ShapeError(t.path, "is no persistent tensor of its own");
  persistent_vars_[static_cast<size_t>(t.persistent)] = -1;
  t.persistent = -1;
}

std::vector<int32_t> awaited_before(const Tape& tape) {
  const auto count = static_cast<int32_t>(tape.nodes().size());
  std::vector<int32_t> found(static_cast<size_t>(count));
  for (int32_t n = 0; n < count; ++n) {
    const Node& node = tape.nodes()[static_cast<size_t>(n)];
    found[static_cast<size_t>(n)] = n;
    if (node.stream == 0) continue;
    std::vector<bool> written(tape.tensors().size()), read(tape.tensors().size());
    for (const Output& o : node.outputs) written[static_cast<size_t>(tape.root(o.var).id)] = true;
    for (const Var v : node.inputs) read[static_cast<size_t>(tape.root(v).id)] = true;
    const auto waits = [&](const Node& later) {
      const auto root = [&](Var v) { return static_cast<size_t>(tape.root(v).id); };
      return later.stream == 0 &&
             (std::ranges::any_of(later.inputs, [&](Var v) { return written[root(v)]; }) ||
              std::ranges::any_of(
                  later.outputs, [&](const Output& o) { return written[root(o.var)] || read[root(o.var)]; }));
    };
    int32_t later = n + 1;
    while (later < count && !waits(tape.nodes()[static_cast<size_t>(later)])) ++later;
    found[static_cast<size_t>(n)] = later;
  }
  return found;
}

std::string Tape::path(const std::string& name) const {
  if (scope_.empty()) return name;
  return name.empty() ? scope_ : scope_ + "." + name;
}

Tape::Scope::Scope(Tape& tape, const std::string& name) : tape_(tape), outer_(tape.scope_) {
  tape.scope_ = tape.path(name);
}

Tape::Scope::~Scope() {
  tape_.scope_ = outer_;
}

}  // namespace lethe
