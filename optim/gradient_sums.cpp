#include "optim/gradient_sums.h"

#include <algorithm>

#include "engine/ops/all_reduce.h"
#include "engine/ops/by_owner.h"
#include "engine/ops/copy.h"
#include "engine/ops/join.h"

namespace lethe {
namespace {

struct Gradient {
  int32_t parameter, index;  // of the State
  int owner;
  Var var;
  int32_t last = -1;  // the node that touches it last
};

// Gradients that are summed together.
struct Bucket {
  std::string layer;
  std::vector<Gradient> gradients;
  int64_t bytes = 0;
  int32_t last = -1;
};

std::vector<Gradient> gradients_of(Tape& tape, const std::vector<int>& owners) {
  const State& state = tape.state();
  std::vector<Gradient> found;
  for (const int32_t parameter : state.trainable()) {
    const int32_t index = state.find_gradient(parameter);
    if (index < 0) throw ShapeError(state[parameter].name, "is trained but has no gradient");
    found.push_back({parameter, index, owners[static_cast<size_t>(parameter)], tape.persistent(index)});
  }
  std::vector<int32_t> last(tape.tensors().size(), -1);
  for (int32_t n = 0; n < static_cast<int32_t>(tape.nodes().size()); ++n) {
    const Node& node = tape.nodes()[static_cast<size_t>(n)];
    for (const Var v : node.inputs) last[static_cast<size_t>(tape.root(v).id)] = n;
    for (const Output& o : node.outputs) last[static_cast<size_t>(tape.root(o.var).id)] = n;
  }
  for (Gradient& g : found) g.last = last[static_cast<size_t>(g.var.id)];
  return found;
}

// In the order in which they are complete; layers are joined until there are enough bytes.
std::vector<Bucket> buckets_of(const Tape& tape, std::vector<Gradient> gradients, int64_t bytes) {
  std::ranges::stable_sort(gradients, {}, &Gradient::last);
  std::vector<Bucket> layers;
  for (const Gradient& g : gradients) {
    const std::string layer = layer_of(tape.state()[g.parameter].name);
    auto bucket = std::ranges::find(layers, layer, &Bucket::layer);
    if (bucket == layers.end()) bucket = layers.insert(bucket, {.layer = layer});
    bucket->gradients.push_back(g);
    bucket->bytes += tape.info(g.var).bytes();
    bucket->last = std::max(bucket->last, g.last);
  }
  std::ranges::stable_sort(layers, {}, &Bucket::last);
  std::vector<Bucket> joined;
  for (Bucket& b : layers) {
    if (joined.empty() || joined.back().bytes >= bytes) {
      joined.push_back(std::move(b));
      continue;
    }
    Bucket& into = joined.back();
    std::ranges::copy(b.gradients, std::back_inserter(into.gradients));
    into.bytes += b.bytes;
    into.last = std::max(into.last, b.last);
  }
  // The State's order, in which neighbours lie beside each other.
  for (Bucket& b : joined) std::ranges::sort(b.gradients, {}, &Gradient::index);
  return joined;
}

class Sums {
 public:
  Sums(Tape& tape, kernels::Write write, const Distribution& distribution)
      : tape_(tape), distribution_(distribution), adds_(write == kernels::Write::accumulate) {}

  // The node that sums a bucket.
  void sum(const Bucket& bucket) {
    std::vector<Var> vars;
    std::vector<int> owners;
    for (const Gradient& g : bucket.gradients) {
      vars.push_back(g.var);
      owners.push_back(g.owner);
    }
    if (distribution_.sharding == Sharding::none) {
      ops::all_reduce(tape_, vars, distribution_.comm, bucket.layer);
    } else {
      ops::reduce_to_owners(tape_, vars, owners, distribution_.comm, bucket.layer);
    }
  }

  // Gradients that live within this pass alone.
  void shorten(Bucket& bucket) {
    if (!distribution_.sums_each_micro_batch()) return;
    for (const Gradient& g : bucket.gradients) {
      if (adds_ || !is_kept(g)) tape_.make_transient(g.var);
    }
  }

  // What is to be done when a bucket's sums are there.
  void finish(const Bucket& bucket) {
    if (!distribution_.sums_each_micro_batch()) return;
    std::vector<Var> gone;
    for (const Gradient& g : bucket.gradients) {
      if (!is_kept(g)) gone.push_back(g.var);
    }
    if (!gone.empty()) ops::join(tape_, gone, bucket.layer);
    if (!adds_) return;
    for (const Gradient& g : bucket.gradients) {
      if (is_kept(g)) ops::copy(tape_, g.var, {tape_.persistent(g.index), Access::accumulate});
    }
  }

 private:
  bool is_kept(const Gradient& g) const {
    return distribution_.sharding < Sharding::zero2 || g.owner == distribution_.comm->rank();
  }

  Tape& tape_;
  const Distribution& distribution_;
  bool adds_;
};

}  // namespace

std::string layer_of(const std::string& name) {
  const size_t begin = name.find("layers.");
  if (begin == std::string::npos) return name;
  const size_t end = name.find('.', begin + 7);
  return name.substr(begin, end == std::string::npos ? end : end - begin);
}

void append_gradient_sums(Tape& tape, kernels::Write write, const Distribution& distribution,
                          const std::vector<int>& owners) {
  if (!distribution.shared()) return;
  const auto recorded = static_cast<int32_t>(tape.nodes().size());
  std::vector<Bucket> buckets = buckets_of(tape, gradients_of(tape, owners), distribution.bucket_bytes);
  Sums sums(tape, write, distribution);
  const Phase phase = tape.phase();
  tape.set_phase(Phase::backward);
  // Recorded behind all others and then put where they belong: a bucket's sum behind what completes it, and
  // what follows from the sum before the next one's, so that it has had the backward pass of a bucket to run
  // beside.
  std::vector<std::vector<int32_t>> behind(static_cast<size_t>(recorded));
  std::vector<int32_t> at_end;
  const auto record = [&](std::vector<int32_t>& place, const auto& nodes) {
    const auto first = static_cast<int32_t>(tape.nodes().size());
    nodes();
    for (int32_t n = first; n < static_cast<int32_t>(tape.nodes().size()); ++n) place.push_back(n);
  };
  const Tape::Scope scope(tape, "gradients");
  for (size_t b = 0; b < buckets.size(); ++b) {
    // A gradient that no node touches is what it was: it is summed with the first.
    std::vector<int32_t>& place = behind[static_cast<size_t>(std::max(0, buckets[b].last))];
    sums.shorten(buckets[b]);
    if (b > 0) record(place, [&] { sums.finish(buckets[b - 1]); });
    record(place, [&] { sums.sum(buckets[b]); });
  }
  if (!buckets.empty()) record(at_end, [&] { sums.finish(buckets.back()); });
  std::vector<int32_t> order;
  for (int32_t n = 0; n < recorded; ++n) {
    order.push_back(n);
    std::ranges::copy(behind[static_cast<size_t>(n)], std::back_inserter(order));
  }
  std::ranges::copy(at_end, std::back_inserter(order));
  tape.arrange(order);
  tape.set_phase(phase);
}

}  // namespace lethe
