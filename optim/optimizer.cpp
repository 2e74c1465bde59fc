#include "optim/optimizer.h"

#include <fmt/format.h>

#include "engine/ops/gradient_norm.h"
#include "engine/ops/update.h"
#include "engine/step_inputs.h"

namespace lethe {
namespace {

constexpr const char* kMaster = "master/";

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

// A state tensor of a parameter: its shape and pitch, the optimizer's dtype.
Var state_tensor(Tape& tape, const std::string& prefix, int32_t parameter, DType dtype) {
  const PersistentInfo p = tape.state()[parameter];
  return tape.persistent(tape.state().declare({.name = prefix + p.name,
                                               .dtype = dtype,
                                               .shape = p.shape,
                                               .kind = Kind::optimizer,
                                               .pitch = p.pitch}));
}

// Appends norm and clip factor; returns the factor.
Var append_norm(Tape& tape, const std::vector<Parameter>& parameters, double max_norm) {
  const auto count = static_cast<int64_t>(parameters.size());
  const Var squares = tape.tensor({count}, DType::f64, "gradient_norm.squares", Kind::step_value);
  for (int64_t i = 0; i < count; ++i) {
    const Var gradient = tape.persistent(parameters[static_cast<size_t>(i)].gradient);
    const std::string name = "norm/" + tape.info(gradient).path;
    ops::squared_norm(tape, gradient, tape.view(squares, i, {1}, name), name);
  }
  const Var norm = step_value(tape, step::gradient_norm, DType::f64, 1);
  const Var scale = tape.tensor({1}, DType::f64, "gradient_norm.scale", Kind::step_value);
  ops::finish_norm(tape, squares, max_norm, norm, scale, "gradient_norm");
  return scale;
}

void append_parameter(Tape& tape, const OptimizerOptions& options, const ParameterGroup& group, int32_t index,
                      Var gradient, const Precision& precision, const ops::UpdateScalars& scalars,
                      Output moved) {
  const bool is_lion = options.name == "lion";
  const kernels::UpdateConstants constants{
      .beta1 = options.beta1,
      .beta2 = options.beta2,
      .epsilon = options.epsilon,
      .weight_decay = group.decayed ? options.weight_decay : 0,
      .decoupled_decay = options.name != "adamw",
      .peak_learning_rate = options.learning_rate * group.learning_rate_multiplier};
  ops::UpdateTensors tensors{.parameter = tape.persistent(index), .gradient = gradient};
  tensors.m = state_tensor(tape, is_lion ? "lion.m/" : "adam.m/", index, precision.optimizer);
  if (!is_lion) tensors.v = state_tensor(tape, "adam.v/", index, precision.optimizer);
  if (tape.state()[index].dtype != precision.optimizer) {
    tensors.master = state_tensor(tape, kMaster, index, precision.optimizer);
  }
  const std::string name = "update/" + tape.state()[index].name;
  if (is_lion) {
    ops::lion(tape, tensors, scalars, constants, moved, name);
  } else {
    ops::adamw(tape, tensors, scalars, constants, moved, name);
  }
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

void append_update(Tape& tape, const OptimizerOptions& options, const Precision& precision) {
  check(options);
  const std::vector<ParameterGroup> groups = parameter_groups(tape.state(), options.grouping);
  const std::vector<Parameter> parameters = ordered(tape.state(), groups);
  const Phase phase = tape.phase();
  tape.set_phase(Phase::update);
  const Var rates = step_value(tape, step::learning_rate, DType::f64, static_cast<int64_t>(groups.size()));
  const Var scale = append_norm(tape, parameters, options.max_gradient_norm);
  const Var moved = step_value(tape, step::parameters_moved, DType::i64, 1);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    const Var rate = tape.view(rates, p.group, {1}, step::learning_rate);
    append_parameter(tape, options, groups[static_cast<size_t>(p.group)], p.index,
                     tape.persistent(p.gradient), precision, {rate, tape.persistent(step::index), scale},
                     {moved, i == 0 ? Access::overwrite : Access::accumulate});
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
  const std::string prefix = kMaster;
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo& master = session.state()[i];
    if (!master.name.starts_with(prefix)) continue;
    const std::string parameter = master.name.substr(prefix.size());
    const DType from = session.state()[session.state().require(parameter)].dtype;
    dispatch_float(from, parameter, [&]<class P>() {
      if (master.dtype == DType::f64) return copy_exactly<P, double>(session, parameter, master.name);
      copy_exactly<P, float>(session, parameter, master.name);
    });
  }
}

}  // namespace lethe
