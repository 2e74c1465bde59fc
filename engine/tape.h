// A program as a list: each call of an operation appends a node, nothing is computed. Backward, the optimizer
// and the collectives append to the same list.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/op.h"
#include "engine/state.h"

namespace lethe {

enum class Phase : uint8_t { forward, recompute, backward, update };
std::string_view name_of(Phase phase);

struct Output {
  Var var;
  Access access = Access::overwrite;
};

// How one output of a node is made again from tensors that are kept, where that is less work than the node.
struct Remake {
  std::shared_ptr<const Op> op;  // null: there is no such way
  std::vector<Var> inputs;
  size_t output = 0;  // of the node
};

struct Node {
  std::shared_ptr<const Op> op;
  std::vector<Var> inputs;
  std::vector<Output> outputs;
  std::string path;  // "layers.3.attention.qkv"
  Phase phase = Phase::forward;
  bool dropped = false;  // its outputs are not kept for the backward pass but computed again there
  Remake remake;
  bool remade = false;  // that output alone is not kept but made again; `dropped` goes before it
  // An output and an input that may share memory when the input is read here for the last time.
  std::pair<int, int> in_place{-1, -1};
  // 1: runs beside what follows it (collectives). Nodes of one stream run in order; the backend adds the
  // waits between streams (awaited_before).
  int stream = 0;
};

class Tape {
 public:
  Tape(State& state, std::string name) : state_(&state), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  State& state() const { return *state_; }

  // ---- tensors
  // The program's handle to a persistent tensor. Throws ShapeError for one that another rank holds.
  Var persistent(int32_t index);
  Var persistent(const std::string& name) { return persistent(state_->require(name)); }
  // A tensor that lives within one run. pitch 0: the width. The path is the current scope and `name`.
  Var tensor(Shape shape, DType dtype, const std::string& name, Kind kind = Kind::activation,
             int64_t pitch = 0);
  // Part of another tensor's buffer with the parent's pitch: `offset` elements in. Throws ShapeError if it
  // does not lie inside.
  Var view(Var parent, int64_t offset, Shape shape, const std::string& name);
  // `count` columns from `first_column` on, all rows.
  Var columns(Var parent, int64_t first_column, int64_t count, const std::string& name);

  // The columns between a root's width and its pitch, `count` of them: room for what is multiplied together
  // with it. Throws ShapeError if the pitch leaves fewer.
  Var beside(Var root, int64_t count, const std::string& name);
  // Whether a tensor is a root with that much room.
  bool has_room(Var var, int64_t count) const;

  const TensorInfo& info(Var var) const { return tensors_[static_cast<size_t>(var.id)]; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  // The tensor whose buffer `var` lies in: itself unless it is a view.
  Var root(Var var) const;
  // Elements from the root's start to `var`'s.
  int64_t offset_in_root(Var var) const;
  // The same place inside another buffer of the root's shape.
  Var same_place(Var var, Var other_root);

  // The value outlives the program's last node, to be read by the host.
  void keep(Var var) { kept_.push_back(root(var)); }
  const std::vector<Var>& kept() const { return kept_; }

  // ---- nodes
  // Appends a node at the current scope and phase; returns it for further marks. In the forward phase an
  // output that was already read may not be written again (ShapeError).
  Node& append(std::shared_ptr<const Op> op, std::vector<Var> inputs, std::vector<Output> outputs,
               const std::string& name = "");
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }
  // Puts the nodes into another order: the new n-th is the old order[n]-th. Throws ShapeError for what is no
  // permutation. What the nodes compute must not hang on the difference.
  void arrange(const std::vector<int32_t>& order);
  // A persistent tensor's handle becomes that of a tensor that lives within one run: its views and the nodes
  // that use it stay as they are, and the program has no handle to the persistent one any more.
  void make_transient(Var root);
  // Nodes that write into a root's buffer, in order.
  const std::vector<int32_t>& writers(Var root) const { return writers_[static_cast<size_t>(root.id)]; }

  void set_phase(Phase phase) { phase_ = phase; }
  Phase phase() const { return phase_; }

  // ---- scopes: a path component for all that is recorded while the object lives
  class Scope {
   public:
    Scope(Tape& tape, const std::string& name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Tape& tape_;
    std::string outer_;
  };
  // Starts over at a full path until the next scope ends: a node's gradient is recorded under the node's
  // path.
  void enter(const std::string& full_path) { scope_ = full_path; }
  // Gives a tensor a path of its own.
  void rename(Var var, const std::string& path) { tensors_[static_cast<size_t>(var.id)].path = path; }
  // "layers.3.attention" + "." + name.
  std::string path(const std::string& name) const;

 private:
  State* state_;
  std::string name_, scope_;
  Phase phase_ = Phase::forward;
  std::vector<TensorInfo> tensors_;
  std::vector<std::vector<int32_t>> writers_;
  std::vector<bool> was_read_;
  std::vector<Node> nodes_;
  std::vector<Var> kept_;
  std::vector<int32_t> persistent_vars_;  // by State index: tensor id or -1
};

// By node, for those of another stream than 0: the first later node of stream 0 that uses what it writes or
// writes what it reads, and so waits for it; the number of nodes if none does: the program's end. Until then
// its tensors and workspace keep their memory. For nodes of stream 0: the node itself.
std::vector<int32_t> awaited_before(const Tape& tape);

}  // namespace lethe
