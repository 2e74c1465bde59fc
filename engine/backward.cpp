#include "engine/backward.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/copy.h"

namespace lethe {

GradientBuilder::GradientBuilder(Tape& tape, const BackwardOptions& options)
    : tape_(tape), options_(options), cloned_(tape.nodes().size(), false) {}

// A root needs a gradient if it is trained, or if a node writes it that reads something which needs one.
void GradientBuilder::mark_needs(int32_t node_count) {
  needs_.assign(tape_.tensors().size(), false);
  for (size_t i = 0; i < needs_.size(); ++i) {
    const TensorInfo& t = tape_.tensors()[i];
    needs_[i] =
        t.persistent >= 0 && !t.parent.valid() && is_float(t.dtype) && tape_.state()[t.persistent].trainable;
  }
  const auto root_needs = [&](Var v) { return needs_[static_cast<size_t>(tape_.root(v).id)]; };
  for (int32_t i = 0; i < node_count; ++i) {
    const Node& node = tape_.nodes()[static_cast<size_t>(i)];
    if (!std::ranges::any_of(node.inputs, root_needs)) continue;
    for (const Output& o : node.outputs) {
      if (is_float(tape_.info(o.var).dtype)) needs_[static_cast<size_t>(tape_.root(o.var).id)] = true;
    }
  }
}

bool GradientBuilder::needs(size_t input) const {
  const Node& node = tape_.nodes()[static_cast<size_t>(index_)];
  return needs_[static_cast<size_t>(tape_.root(node.inputs[input]).id)];
}

// Views made by separate calls but of the same place share one gradient: the first of them stands for all.
Var GradientBuilder::canonical(Var var) {
  const Var root = tape_.root(var);
  if (var == root) return var;
  return places_.try_emplace({root.id, tape_.offset_in_root(var), tape_.info(var).shape}, var).first->second;
}

bool GradientBuilder::is_written(Var var) const {
  const auto it = entries_.find(var.id);
  return it != entries_.end() && it->second.written;
}

bool GradientBuilder::has_gradient(size_t output) {
  const Var var = canonical(forward().outputs[output].var), root = tape_.root(var);
  return is_written(var) || is_written(root) || view_elements_.contains(root.id);
}

Var GradientBuilder::gradient(size_t output) {
  const Var var = canonical(forward().outputs[output].var), root = tape_.root(var);
  const auto parts = view_elements_.find(root.id);
  if (is_written(root) && parts != view_elements_.end()) {
    throw ShapeError(tape_.info(root).path,
                     "is used both whole and in parts: its gradient lies in two places");
  }
  if (is_written(var)) return entries_.at(var.id).buffer;
  if (is_written(root)) return tape_.same_place(var, entries_.at(root.id).buffer);
  if (parts == view_elements_.end() || parts->second != tape_.info(root).elements()) {
    throw ShapeError(tape_.info(var).path, "its gradient is incomplete: not every part of it was used");
  }
  return tape_.same_place(var, view_roots_.at(root.id));
}

Output GradientBuilder::gradient_to_update(size_t output) {
  const Var var = canonical(forward().outputs[output].var), found = gradient(output);
  const Var buffer = tape_.root(found);
  if (holders_[buffer.id] <= 1 && tape_.info(buffer).persistent < 0) return {found, Access::update};
  if (tape_.root(var) != var || !is_written(var)) {
    throw ShapeError(tape_.info(var).path, "is part of a tensor whose gradient others share");
  }
  Entry& entry = entries_.at(var.id);
  make_exclusive(entry);
  return {entry.buffer, Access::update};
}

GradientBuilder::Entry& GradientBuilder::entry_for(Var var) {
  if (const auto it = entries_.find(var.id); it != entries_.end()) return it->second;
  const Var root = tape_.root(var);
  const TensorInfo info = tape_.info(var);
  const TensorInfo root_info = tape_.info(root);
  Entry entry;
  if (root_info.persistent >= 0) {
    const Var gradient =
        tape_.persistent(tape_.state().gradient_of(root_info.persistent, options_.gradient_dtype));
    entry.buffer = tape_.same_place(var, gradient);
    entry.written = options_.parameter_gradients == kernels::Write::accumulate;
  } else if (var == root) {
    entry.buffer = tape_.tensor(info.shape, info.dtype, "");
    tape_.rename(entry.buffer, "gradient/" + info.path);
  } else {
    auto [it, is_new] = view_roots_.try_emplace(root.id);
    if (is_new) {
      it->second = tape_.tensor(root_info.shape, root_info.dtype, "", Kind::activation, root_info.pitch);
      tape_.rename(it->second, "gradient/" + root_info.path);
      hold(it->second);
    }
    entry.buffer = tape_.same_place(var, it->second);
  }
  return entries_.emplace(var.id, entry).first->second;
}

// Before a contribution is added: a buffer that another tensor's unread gradient shares is copied.
void GradientBuilder::make_exclusive(Entry& entry) {
  const Var root = tape_.root(entry.buffer);
  if (tape_.info(root).persistent >= 0 && tape_.info(root).kind == Kind::gradient) return;
  if (holders_[root.id] <= 1 && tape_.info(root).persistent < 0) return;
  const TensorInfo info = tape_.info(entry.buffer);
  const Var own = tape_.tensor(info.shape, info.dtype, "");
  tape_.rename(own, info.path);
  ops::copy(tape_, entry.buffer, {own, Access::overwrite});
  --holders_[root.id];
  entry.buffer = own;
  hold(own);
}

Output GradientBuilder::target(size_t input) {
  return target_of(canonical(forward().inputs[input]));
}

Output GradientBuilder::output_target(size_t output) {
  return target_of(canonical(forward().outputs[output].var));
}

Output GradientBuilder::target_of(Var var) {
  const bool is_new = !entries_.contains(var.id);
  Entry& entry = entry_for(var);
  if (entry.written) {
    make_exclusive(entry);
    return {entry.buffer, Access::accumulate};
  }
  const Var root = tape_.root(var);
  if (tape_.info(root).persistent < 0) {
    if (var != root) {
      view_elements_[root.id] += tape_.info(var).elements();
    } else if (is_new) {
      hold(entry.buffer);
    }
  }
  entry.written = true;
  return {entry.buffer, Access::overwrite};
}

void GradientBuilder::gradient_lies_in(size_t input, Var gradient) {
  const Var var = canonical(forward().inputs[input]);
  if (tape_.root(var) != var || entries_.contains(var.id) || view_elements_.contains(var.id))
    throw ShapeError(tape_.info(var).path, "was overwritten with its gradient, but others read it too");
  entries_[var.id] = {gradient, true};
  hold(gradient);
}

void GradientBuilder::pass_through(size_t input, size_t output) {
  if (!needs(input)) return;
  const Var var = forward().inputs[input];
  const Var shared = gradient(output);
  const bool is_plain = tape_.root(var) == var && tape_.info(var).persistent < 0;
  const bool same_dtype = tape_.info(shared).dtype == tape_.info(var).dtype;
  if (is_plain && same_dtype && !entries_.contains(var.id)) {
    entries_[var.id] = {shared, true};
    hold(shared);
    return;
  }
  ops::copy(tape_, shared, target(input));
}

void GradientBuilder::release(Var var) {
  if (const auto it = entries_.find(var.id); it != entries_.end()) {
    --holders_[tape_.root(it->second.buffer).id];
    entries_.erase(it);
  }
  if (const auto it = view_roots_.find(var.id); it != view_roots_.end()) {
    --holders_[tape_.root(it->second).id];
    view_roots_.erase(it);
    view_elements_.erase(var.id);
  }
}

Var GradientBuilder::saved(Var var) {
  const Var root = tape_.root(var);
  if (tape_.info(root).persistent >= 0) return var;
  if (!clones_.contains(root.id)) {
    const std::vector<int32_t>& writers = tape_.writers(root);
    const bool dropped = std::ranges::any_of(writers, [&](int32_t w) {
      const Node& node = tape_.nodes()[static_cast<size_t>(w)];
      return node.phase == Phase::forward && (node.dropped || is_remade(node, root));
    });
    if (!dropped) return var;
    const Phase phase = tape_.phase();
    tape_.set_phase(Phase::recompute);
    clone_writers(root);
    tape_.set_phase(phase);
  }
  return tape_.same_place(var, clones_.at(root.id));
}

// Records again, into a fresh buffer, every node that wrote this root: a value and the additions made to it
// in place are dropped together or not at all.
void GradientBuilder::clone_writers(Var root) {
  const TensorInfo info = tape_.info(root);
  const Var twin = tape_.tensor(info.shape, info.dtype, "", info.kind, info.pitch);
  tape_.rename(twin, info.path);
  clones_.emplace(root.id, twin);
  const std::vector<int32_t> writers = tape_.writers(root);
  for (const int32_t w : writers) {
    const Node& node = tape_.nodes()[static_cast<size_t>(w)];
    if (node.phase != Phase::forward) continue;
    if (!node.dropped && is_remade(node, root)) {
      remake_output(w);
    } else {
      clone_node(w);
    }
  }
}

bool GradientBuilder::is_remade(const Node& node, Var root) const {
  return node.remade && tape_.root(node.outputs[node.remake.output].var) == root;
}

void GradientBuilder::remake_output(int32_t index) {
  const Node original = tape_.nodes()[static_cast<size_t>(index)];
  const Output& output = original.outputs[original.remake.output];
  std::vector<Var> inputs;
  for (const Var v : original.remake.inputs) inputs.push_back(saved(v));
  const Var twin = tape_.same_place(output.var, clones_.at(tape_.root(output.var).id));
  const Tape::Scope scope(tape_, "");
  tape_.enter(original.path);
  tape_.append(original.remake.op, std::move(inputs), {{twin}});
}

void GradientBuilder::clone_node(int32_t index) {
  if (cloned_[static_cast<size_t>(index)]) return;
  cloned_[static_cast<size_t>(index)] = true;
  const Node original = tape_.nodes()[static_cast<size_t>(index)];
  const auto twin = [&](Var var) { return tape_.same_place(var, clones_.at(tape_.root(var).id)); };
  std::vector<Var> out_roots;
  for (const Output& o : original.outputs) {
    const Var root = tape_.root(o.var);
    out_roots.push_back(root);
    if (!clones_.contains(root.id)) clone_writers(root);
  }
  std::vector<Var> inputs;
  for (const Var v : original.inputs) {
    const bool in_place = std::ranges::find(out_roots, tape_.root(v)) != out_roots.end();
    inputs.push_back(in_place ? twin(v) : saved(v));
  }
  std::vector<Output> outputs;
  for (const Output& o : original.outputs) outputs.push_back({twin(o.var), o.access});
  const Tape::Scope scope(tape_, "");
  tape_.enter(original.path);
  tape_.append(original.op, std::move(inputs), std::move(outputs));
}

void GradientBuilder::visit(int32_t index) {
  index_ = index;
  const Node node = tape_.nodes()[static_cast<size_t>(index)];
  bool any = false;
  for (size_t i = 0; i < node.outputs.size(); ++i) any = any || has_gradient(i);
  bool wanted = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) wanted = wanted || needs(i);
  if (any && wanted) {
    const Tape::Scope scope(tape_, "");
    tape_.enter(node.path);
    node.op->gradient(node, *this);
  }
  for (const Output& o : node.outputs) {
    // An in-place addition hands its gradient on to the node that wrote the buffer first.
    const std::vector<int32_t>& writers = tape_.writers(tape_.root(o.var));
    if (o.access == Access::overwrite || writers.front() == index) release(canonical(o.var));
  }
}

void backward(Tape& tape, Var loss, const BackwardOptions& options) {
  if (tape.info(loss).elements() != 1 || tape.info(options.seed).elements() != 1) {
    throw ShapeError(tape.info(loss).path, "the loss and its seed must have one element, got " +
                                               text_of(tape.info(loss).shape) + " and " +
                                               text_of(tape.info(options.seed).shape));
  }
  const auto forward_nodes = static_cast<int32_t>(tape.nodes().size());
  GradientBuilder builder(tape, options);
  builder.mark_needs(forward_nodes);
  builder.entries_[loss.id] = {options.seed, true};
  builder.hold(options.seed);
  tape.set_phase(Phase::backward);
  for (int32_t i = forward_nodes - 1; i >= 0; --i) builder.visit(i);
}

}  // namespace lethe
