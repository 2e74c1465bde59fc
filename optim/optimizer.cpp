#include "optim/optimizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/all_reduce.h"
#include "engine/ops/by_owner.h"
#include "engine/ops/gradient_norm.h"
#include "engine/ops/update.h"
#include "engine/step_inputs.h"

namespace lethe {
namespace {

constexpr const char* kMaster = "master/";
constexpr const char* kRemainder = "remainder/";

void check(const OptimizerOptions& o) {
  if (o.name != "adamw" && o.name != "decoupled_adamw" && o.name != "lion") {
    throw ConfigError("optimizer.name", "must be adamw, decoupled_adamw or lion, got \"" + o.name + "\"");
  }
  const auto in_range = [](const char* key, double value, bool holds, const char* range) {
    if (!holds) throw ConfigError(key, fmt::format("{} is not {}", value, range));
  };
  in_range("optimizer.learning_rate", o.learning_rate, o.learning_rate >= 0, "at least 0");
  for (const double beta : {o.beta1, o.beta2}) {
    in_range("optimizer.betas", beta, beta >= 0 && beta < 1, "in [0, 1)");
  }
  in_range("optimizer.epsilon", o.epsilon, o.epsilon > 0, "above 0");
  in_range("optimizer.weight_decay", o.weight_decay, o.weight_decay >= 0, "at least 0");
  in_range("train.max_gradient_norm", o.max_gradient_norm, o.max_gradient_norm >= 0, "at least 0");
}

// What the program needs to know of one parameter.
struct Parameter {
  int32_t index, gradient, group;
  int owner = -1;  // of several ranks the one that updates it; -1: each does
};

// In the State's order, so that the norm's sum does not depend on the grouping.
std::vector<Parameter> ordered(const State& state, const std::vector<ParameterGroup>& groups) {
  std::vector<Parameter> found;
  for (const int32_t index : state.trainable()) {
    Parameter p{index, state.find_gradient(index), 0};
    if (p.gradient < 0) throw ShapeError(state[index].name, "is trained but has no gradient");
    for (size_t g = 0; g < groups.size(); ++g) {
      for (const int32_t member : groups[g].parameters) {
        if (member == index) p.group = static_cast<int32_t>(g);
      }
    }
    found.push_back(p);
  }
  if (found.empty()) throw ConfigError("optimizer", "nothing is trained");
  return found;
}

Var step_value(Tape& tape, const char* name, DType dtype, int64_t count) {
  return tape.persistent(
      tape.state().declare({.name = name, .dtype = dtype, .shape = {count}, .kind = Kind::step_value}));
}

// The ranks, and what of the parameters belongs to this one.
class Sharing {
 public:
  Sharing(const Distribution& distribution, const State& state, std::vector<Parameter>& parameters)
      : comm_(distribution.comm),
        shared_(distribution.shared()),
        lends_(distribution.sharding == Sharding::zero3) {
    if (!shared_ || distribution.sharding == Sharding::none) return;
    const std::vector<int> owners = weight_owners(state, distribution);
    for (Parameter& p : parameters) {
      p.owner = owners[static_cast<size_t>(p.index)];
      owners_.push_back(p.owner);
    }
  }

  bool shared() const { return shared_; }
  bool owned() const { return !owners_.empty(); }
  // Whether the others hold no copy of an updated parameter.
  bool lends() const { return lends_; }
  bool is_mine(const Parameter& parameter) const {
    return parameter.owner < 0 || parameter.owner == comm_->rank();
  }
  const std::vector<int>& owners() const { return owners_; }
  const std::shared_ptr<Comm>& comm() const { return comm_; }

 private:
  std::shared_ptr<Comm> comm_;
  bool shared_, lends_;
  std::vector<int> owners_;  // by parameter; empty: each rank updates all
};

// A state tensor of a parameter: its shape and pitch. Invalid where another rank holds it.
Var state_tensor(Tape& tape, const std::string& prefix, const Parameter& parameter, bool is_mine,
                 DType dtype) {
  const PersistentInfo p = tape.state()[parameter.index];
  const int32_t index = tape.state().declare({.name = prefix + p.name,
                                              .dtype = dtype,
                                              .shape = p.shape,
                                              .kind = Kind::optimizer,
                                              .pitch = p.pitch,
                                              .owner = parameter.owner,
                                              .absent = !is_mine});
  return is_mine ? tape.persistent(index) : Var{};
}

// Appends norm and clip factor; returns the factor.
Var append_norm(Tape& tape, const std::vector<Parameter>& parameters, double max_norm,
                const Sharing& sharing) {
  const Var scale = tape.tensor({1}, DType::f64, "gradient_norm.scale", Kind::step_value);
  const ops::GradientNorm into{.norm = step_value(tape, step::gradient_norm, DType::f64, 1),
                               .scale = scale,
                               .halted = step_value(tape, step::halted, DType::i64, 1)};
  const Var loss = tape.persistent(step::loss_sum);
  if (sharing.shared()) ops::all_reduce(tape, {loss}, sharing.comm(), "loss");
  if (!sharing.owned()) {
    std::vector<Var> gradients;
    for (const Parameter& p : parameters) gradients.push_back(tape.persistent(p.gradient));
    ops::gradient_norm(tape, gradients, loss, max_norm, into);
    return scale;
  }
  std::vector<Var> mine;
  std::vector<int32_t> places;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!sharing.is_mine(parameters[i])) continue;
    mine.push_back(tape.persistent(parameters[i].gradient));
    places.push_back(static_cast<int32_t>(i));
  }
  // Of each sum one rank knows the value and the others hold zero: adding them up rounds nothing.
  const Var squares = tape.tensor({static_cast<int64_t>(parameters.size())}, DType::f64,
                                  "gradient_norm.squares", Kind::step_value);
  ops::gradient_squares(tape, mine, places, squares);
  ops::all_reduce(tape, {squares}, sharing.comm(), "gradient_squares");
  ops::norm_of_squares(tape, squares, loss, max_norm, into);
  return scale;
}

std::vector<kernels::UpdateConstants> constants_of(const OptimizerOptions& options,
                                                   const std::vector<ParameterGroup>& groups) {
  std::vector<kernels::UpdateConstants> found;
  for (const ParameterGroup& group : groups) {
    found.push_back({.beta1 = options.beta1,
                     .beta2 = options.beta2,
                     .epsilon = options.epsilon,
                     .weight_decay = group.decayed ? options.weight_decay : 0,
                     .decoupled_decay = options.name != "adamw",
                     .peak_learning_rate = options.learning_rate * group.learning_rate_multiplier});
  }
  return found;
}

// Declares a parameter's state.
ops::UpdateTensors tensors_of(Tape& tape, const Parameter& parameter, const Precision& precision,
                              bool is_lion, bool is_mine) {
  const DType dtype = tape.state()[parameter.index].dtype, moments = precision.moments_of(dtype);
  const auto declare = [&](const std::string& prefix, DType of_state) {
    return state_tensor(tape, prefix, parameter, is_mine, of_state);
  };
  ops::UpdateTensors tensors{.group = parameter.group};
  if (is_mine) {
    tensors.parameter = tape.persistent(parameter.index);
    tensors.gradient = tape.persistent(parameter.gradient);
  }
  tensors.m = declare(is_lion ? "lion.m/" : "adam.m/", moments);
  if (!is_lion) tensors.v = declare("adam.v/", moments);
  switch (precision.master_of(dtype)) {
    case Master::none:
      break;
    case Master::whole:
      tensors.master = declare(kMaster, moments);
      break;
    case Master::split:
      tensors.master = declare(kRemainder, DType::u16);
      break;
  }
  return tensors;
}

template <class P, class M>
void copy_exactly(Session& session, const std::string& from, const std::string& to) {
  const std::vector<P> values = session.get<P>(from);
  std::vector<M> wide;
  wide.reserve(values.size());
  for (const P v : values) wide.push_back(static_cast<M>(static_cast<compute_t<P>>(v)));
  session.set(to, wide);
}

}  // namespace

void append_update(Tape& tape, const OptimizerOptions& options, const Precision& precision,
                   const Distribution& distribution) {
  check(options);
  const std::vector<ParameterGroup> groups = parameter_groups(tape.state(), options.grouping);
  std::vector<Parameter> parameters = ordered(tape.state(), groups);
  const Sharing sharing(distribution, tape.state(), parameters);
  const Phase phase = tape.phase();
  tape.set_phase(Phase::update);
  const Var rates = step_value(tape, step::learning_rate, DType::f64, static_cast<int64_t>(groups.size()));
  std::vector<Var> all;
  const Var scale = append_norm(tape, parameters, options.max_gradient_norm, sharing);
  const Var moved = step_value(tape, step::parameters_moved, DType::i64, 1);
  const bool is_lion = options.name == "lion";
  // One node for each combination of dtypes, in the order of the first parameter that has it.
  std::vector<std::pair<int, std::vector<ops::UpdateTensors>>> nodes;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool is_mine = sharing.is_mine(parameters[i]);
    if (!sharing.lends()) all.push_back(tape.persistent(parameters[i].index));
    ops::UpdateTensors tensors = tensors_of(tape, parameters[i], precision, is_lion, is_mine);
    if (!is_mine) continue;
    tensors.stream = static_cast<uint32_t>(i);
    const int kind = ops::kind_of_update(tape, tensors, "update");
    auto node = std::ranges::find(nodes, kind, [](const auto& n) { return n.first; });
    if (node == nodes.end()) node = nodes.insert(node, {kind, {}});
    node->second.push_back(tensors);
  }
  const ops::UpdateScalars scalars{.learning_rates = rates,
                                   .step = tape.persistent(step::index),
                                   .gradient_scale = scale,
                                   .seed = tape.persistent(step::seed)};
  for (const auto& [kind, tensors] : nodes) {
    const Output count{moved, &tensors == &nodes.front().second ? Access::overwrite : Access::accumulate};
    const auto record = is_lion ? ops::lion : ops::adamw;
    record(tape, tensors, scalars, constants_of(options, groups), count, "update");
  }
  if (sharing.owned()) {
    ops::all_reduce(tape, {moved}, sharing.comm(), "parameters_moved");
    if (!sharing.lends()) ops::gather_from_owners(tape, all, sharing.owners(), sharing.comm(), "parameters");
  }
  tape.set_phase(phase);
}

std::vector<double> learning_rates(const State& state, const OptimizerOptions& options,
                                   const ScheduleSpec& schedule, int64_t completed) {
  std::vector<double> rates;
  for (const ParameterGroup& g : parameter_groups(state, options.grouping)) {
    rates.push_back(options.learning_rate * g.learning_rate_multiplier * multiplier(schedule, completed));
  }
  return rates;
}

void initialise_optimizer(Session& session) {
  const std::string whole = kMaster, split = kRemainder;
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo& master = session.state()[i];
    if (master.kind != Kind::optimizer || master.absent) continue;
    if (master.name.starts_with(split)) {
      // A weight that nothing was added to is its own nearest bf16.
      session.set(master.name, std::vector<uint16_t>(static_cast<size_t>(elements_of(master.shape))));
    }
    if (!master.name.starts_with(whole)) continue;
    const std::string parameter = master.name.substr(whole.size());
    dispatch_float(session.state()[session.state().require(parameter)].dtype, parameter,
                   [&]<class P>() { copy_exactly<P, float>(session, parameter, master.name); });
  }
}

}  // namespace lethe
