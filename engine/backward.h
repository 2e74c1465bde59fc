// Reverse-mode differentiation of a recorded program (Griewank & Walther, "Evaluating Derivatives", ch. 3):
// walks the tape from the loss to its start; each operation's rule appends the nodes of its own gradient.
// What no trained parameter depends on gets no node: LoRA's saving needs no special case.
#pragma once

#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/tape.h"

namespace lethe {

struct BackwardOptions {
  Var seed;  // d loss / d loss: a scalar on the device, 1 / (valid target tokens of the step)
  // Whether the first contribution to a parameter's gradient replaces what is there (first micro-batch of a
  // step) or is added to it (the others).
  kernels::Write parameter_gradients = kernels::Write::overwrite;
  DType gradient_dtype = DType::f32;  // of parameters' gradients
};

// Appends the gradient of `loss` (one element) with respect to every trainable persistent tensor of the
// tape's State, into State::gradient_of. Dropped nodes are recorded again where a rule needs their outputs.
void backward(Tape& tape, Var loss, const BackwardOptions& options);

// What an operation's gradient rule may ask for. Inputs and outputs are those of the forward node.
class GradientBuilder {
 public:
  Tape& tape() { return tape_; }
  // The forward node's index, for rules that need it.
  int32_t node_index() const { return index_; }

  // Whether anything trained depends on input i: a rule computes nothing for an input that needs nothing.
  bool needs(size_t input) const;

  // The forward values, recomputed first if their node was dropped.
  Var input(size_t i) { return saved(forward().inputs[i]); }
  Var output(size_t i) { return saved(forward().outputs[i].var); }

  // The finished gradient of output i; has_gradient says whether there is one.
  bool has_gradient(size_t output);
  Var gradient(size_t output = 0);
  // The same for a node that rewrote its output in place: the rule turns the gradient in place as well,
  // before the node that wrote the output first reads it. A buffer that other tensors share is copied.
  Output gradient_to_update(size_t output = 0);

  // Where the gradient of input i goes, and whether it replaces or joins what is there.
  Output target(size_t input);
  // Where a rule adds to the gradient of output i, which another output was made from; to be asked for before
  // gradient(i). If nothing else reads output i, what goes there is all of it.
  Output output_target(size_t output);
  // The gradient of input i lies in this tensor already. Throws ShapeError if other nodes read the input too.
  void gradient_lies_in(size_t input, Var gradient);
  // The gradient of input i is exactly that of output j: shares the buffer if it can, else copies.
  void pass_through(size_t input, size_t output = 0);

 private:
  friend void backward(Tape&, Var, const BackwardOptions&);
  GradientBuilder(Tape& tape, const BackwardOptions& options);

  struct Entry {
    Var buffer;            // the gradient, of the tensor's own shape
    bool written = false;  // holds a contribution already
  };

  Node forward() const { return tape_.nodes()[static_cast<size_t>(index_)]; }
  void mark_needs(int32_t node_count);
  void visit(int32_t index);
  Output target_of(Var var);
  Var saved(Var var);
  void clone_writers(Var root);
  void clone_node(int32_t index);
  bool is_remade(const Node& node, Var root) const;
  void remake_output(int32_t index);
  Var canonical(Var var);
  bool is_written(Var var) const;
  Entry& entry_for(Var var);
  void make_exclusive(Entry& entry);
  void hold(Var buffer) { ++holders_[tape_.root(buffer).id]; }
  void release(Var var);

  Tape& tape_;
  BackwardOptions options_;
  int32_t index_ = -1;
  std::vector<bool> needs_;                                    // by root tensor
  std::map<int32_t, Entry> entries_;                           // by tensor (root or view)
  std::map<std::tuple<int32_t, int64_t, Shape>, Var> places_;  // root, offset and shape -> first such view
  std::map<int32_t, Var> view_roots_;         // root tensor -> gradient buffer its views' gradients lie in
  std::map<int32_t, int64_t> view_elements_;  // root tensor -> elements that views have written
  std::unordered_map<int32_t, int> holders_;  // gradient buffer -> entries that refer to it
  std::unordered_map<int32_t, Var> clones_;   // dropped root -> its recomputed twin
  std::vector<bool> cloned_;                  // by node
};

}  // namespace lethe
