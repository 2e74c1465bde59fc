#include "model/recompute.h"

#include <charconv>
#include <limits>

namespace lethe {
namespace {

// Of "layers.3.mlp.swiglu"; beyond all layers for what stands outside of them.
int64_t layer_of(const std::string& path) {
  constexpr std::string_view prefix = "layers.";
  int64_t layer = std::numeric_limits<int64_t>::max();
  if (path.starts_with(prefix))
    std::from_chars(path.data() + prefix.size(), path.data() + path.size(), layer);
  return layer;
}

}  // namespace

Recompute recompute_from(const std::string& text) {
  if (text == "none") return Recompute::none;
  if (text == "rmsnorm") return Recompute::rmsnorm;
  if (text == "swiglu") return Recompute::swiglu;
  if (text == "norms") return Recompute::norms;
  if (text == "mlp") return Recompute::mlp;
  if (text == "block") return Recompute::block;
  throw ConfigError("train.recompute", "must be none, rmsnorm, swiglu, norms, mlp or block, got " + text);
}

void drop_for_recompute(Tape& tape, Recompute policy, int64_t layers) {
  if (policy == Recompute::none) return;
  for (Node& node : tape.nodes()) {
    if (layers > 0 && layer_of(node.path) >= layers) continue;
    const std::string_view op = node.op->name();
    const bool in_block = node.path.starts_with("layers.");
    const bool cheap =
        (op == "swiglu" && policy != Recompute::rmsnorm) || (op == "dropout" && policy >= Recompute::norms);
    const bool in_mlp = node.path.find(".mlp.") != std::string::npos;
    // The node that makes a block's input keeps that; what it normalises to is made again from it.
    const bool block_input = node.path.ends_with(".attention_norm");
    node.remade = node.remake.op != nullptr && policy != Recompute::swiglu;
    node.dropped = cheap || (policy == Recompute::mlp && in_block && in_mlp) ||
                   (policy == Recompute::block && in_block && !block_input);
  }
}

}  // namespace lethe
