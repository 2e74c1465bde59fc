#include "optim/borrowed_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "engine/ops/by_owner.h"
#include "optim/gradient_sums.h"

namespace lethe {
namespace {

// 0: forward; 1: recompute and backward.
size_t pass_of(const Node& node) {
  return node.phase == Phase::forward ? 0 : 1;
}

// A weight in one pass of the program.
struct Use {
  Var weight;  // the root, as the nodes name it
  int owner = -1;
  int32_t first = -1;  // the node that uses it first
  size_t pass = 0;
  Var borrowed;  // what the nodes shall use: the weight itself where this rank owns it
};

// What is borrowed together: the weights of a layer in a pass.
struct Loan {
  std::string layer;
  size_t pass = 0;
  int32_t first = -1;
  std::vector<Use> uses;
};

std::vector<Use> uses_of(const Tape& tape, const std::vector<int>& owners) {
  std::map<std::pair<int32_t, size_t>, Use> found;
  const auto owner_of = [&](Var root) {
    const int32_t index = tape.info(root).persistent;
    return index < 0 ? -1 : owners[static_cast<size_t>(index)];
  };
  for (int32_t n = 0; n < static_cast<int32_t>(tape.nodes().size()); ++n) {
    const Node& node = tape.nodes()[static_cast<size_t>(n)];
    for (const Output& o : node.outputs) {
      if (owner_of(tape.root(o.var)) >= 0)
        throw ShapeError(node.path, tape.info(o.var).path + " is written, and may be another rank's");
    }
    for (const Var v : node.inputs) {
      const Var root = tape.root(v);
      if (owner_of(root) < 0) continue;
      found.try_emplace({root.id, pass_of(node)}, Use{root, owner_of(root), n, pass_of(node), root});
    }
  }
  std::vector<Use> uses;
  for (const auto& [key, use] : found) uses.push_back(use);
  std::ranges::stable_sort(uses, {}, &Use::first);
  return uses;
}

std::vector<Loan> loans_of(const Tape& tape, const std::vector<Use>& uses) {
  std::vector<Loan> loans;
  for (const Use& use : uses) {
    const std::string layer = layer_of(tape.info(use.weight).path);
    auto loan =
        std::ranges::find_if(loans, [&](const Loan& l) { return l.layer == layer && l.pass == use.pass; });
    if (loan == loans.end()) loan = loans.insert(loan, {layer, use.pass, use.first, {}});
    loan->uses.push_back(use);
  }
  // The State's order within a loan, the same on all ranks.
  for (Loan& l : loans)
    std::ranges::sort(l.uses, {}, [&](const Use& u) { return tape.info(u.weight).persistent; });
  return loans;
}

// The tensors that stand for weights of other ranks.
class Borrowed {
 public:
  Borrowed(Tape& tape, int rank) : tape_(tape), rank_(rank) {}

  // Makes the tensor and has the nodes of the pass use it.
  void make(Use& use) {
    if (use.owner == rank_) return;
    const TensorInfo w = tape_.info(use.weight);
    use.borrowed = tape_.tensor(w.shape, w.dtype, "", Kind::weight, w.pitch);
    tape_.rename(use.borrowed, w.path);
    std::map<int32_t, Var> views;
    for (Node& node : tape_.nodes()) {
      if (pass_of(node) != use.pass) continue;
      for (Var& v : node.inputs) {
        if (tape_.root(v) != use.weight) continue;
        Var& twin = views[v.id];
        if (!twin.valid()) twin = v == use.weight ? use.borrowed : tape_.same_place(v, use.borrowed);
        v = twin;
      }
    }
  }

 private:
  Tape& tape_;
  int rank_;
};

}  // namespace

void borrow_weights(Tape& tape, const std::vector<int>& owners, const std::shared_ptr<Comm>& comm) {
  std::vector<Loan> loans = loans_of(tape, uses_of(tape, owners));
  const auto recorded = static_cast<int32_t>(tape.nodes().size());
  std::vector<std::vector<int32_t>> before(static_cast<size_t>(recorded) + 1);
  Borrowed borrowed(tape, comm->rank());
  for (Loan& loan : loans) {
    for (Use& use : loan.uses) borrowed.make(use);
  }
  const Phase phase = tape.phase();
  const Tape::Scope scope(tape, "weights");
  for (size_t l = 0; l < loans.size(); ++l) {
    std::vector<Var> tensors;
    std::vector<int> owner_list;
    for (const Use& use : loans[l].uses) {
      tensors.push_back(use.borrowed);
      owner_list.push_back(use.owner);
    }
    tape.set_phase(loans[l].pass == 0 ? Phase::forward : Phase::backward);
    const auto first = static_cast<int32_t>(tape.nodes().size());
    ops::borrow_from_owners(tape, tensors, owner_list, comm, loans[l].layer);
    // Beside the computation of the layer before.
    auto& place = before[static_cast<size_t>(l == 0 ? 0 : loans[l - 1].first)];
    for (int32_t n = first; n < static_cast<int32_t>(tape.nodes().size()); ++n) place.push_back(n);
  }
  tape.set_phase(phase);
  std::vector<int32_t> order;
  for (int32_t n = 0; n < recorded; ++n) {
    std::ranges::copy(before[static_cast<size_t>(n)], std::back_inserter(order));
    order.push_back(n);
  }
  tape.arrange(order);
}

}  // namespace lethe
