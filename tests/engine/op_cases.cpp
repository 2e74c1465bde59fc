#include "tests/engine/op_cases.h"

#include <cmath>

#include "engine/backward.h"
#include "engine/ops/weighted_sum.h"
#include "engine/rng.h"

namespace lethe::test {

std::vector<OpCase> adapter_op_cases();
std::vector<OpCase> basic_op_cases();
std::vector<OpCase> element_op_cases();
std::vector<OpCase> llama_op_cases();

std::vector<OpCase> all_op_cases() {
  std::vector<OpCase> cases;
  for (const auto& list : {basic_op_cases(), element_op_cases(), llama_op_cases(), adapter_op_cases()}) {
    cases.insert(cases.end(), list.begin(), list.end());
  }
  return cases;
}

void PrintTo(const OpCase& op_case, std::ostream* out) {
  *out << op_case.name;
}

Var CaseBuilder::declare(const std::string& name, Shape shape, DType dtype, bool trainable, int64_t pitch) {
  const int32_t index = tape_.state().declare({.name = name,
                                               .dtype = dtype,
                                               .shape = std::move(shape),
                                               .kind = trainable ? Kind::weight : Kind::input,
                                               .trainable = trainable,
                                               .pitch = pitch});
  return tape_.persistent(index);
}

Var CaseBuilder::parameter(const std::string& name, Shape shape, double spread, int64_t pitch) {
  const Rng rng(7, stream_of(name));
  std::vector<double> values(static_cast<size_t>(elements_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = spread * rng.normal(i);
  return parameter(name, std::move(shape), values, pitch);
}

Var CaseBuilder::parameter(const std::string& name, Shape shape, const std::vector<double>& values,
                           int64_t pitch) {
  values_[name] = values;
  parameters_.push_back(name);
  return declare(name, std::move(shape), dtype_, true, pitch);
}

Var CaseBuilder::constant(const std::string& name, Shape shape, const std::vector<double>& values) {
  values_[name] = values;
  return declare(name, std::move(shape), dtype_, false, 0);
}

Var CaseBuilder::integers(const std::string& name, Shape shape, const std::vector<int32_t>& values) {
  integers_[name] = values;
  return declare(name, std::move(shape), DType::i32, false, 0);
}

Var CaseBuilder::integers64(const std::string& name, Shape shape, const std::vector<int64_t>& values) {
  integers64_[name] = values;
  return declare(name, std::move(shape), DType::i64, false, 0);
}

namespace {

template <class T>
void set_as(Session& session, const std::string& name, const std::vector<double>& values) {
  std::vector<T> typed;
  typed.reserve(values.size());
  for (const double v : values) typed.push_back(static_cast<T>(static_cast<compute_t<T>>(v)));
  session.set(name, typed);
}

void set_values(Session& session, const std::string& name, DType dtype, const std::vector<double>& values) {
  dispatch_float(dtype, name, [&]<class T>() { set_as<T>(session, name, values); });
}

}  // namespace

BuiltCase build_case(const OpCase& op_case, DType dtype, int threads,
                     const std::function<void(Tape&)>& mark) {
  return build_case(op_case, dtype, make_cpu_backend({.threads = threads}), mark);
}

BuiltCase build_case(const OpCase& op_case, DType dtype, std::unique_ptr<Backend> backend,
                     const std::function<void(Tape&)>& mark) {
  auto state = std::make_unique<State>();
  auto tape = std::make_unique<Tape>(*state, op_case.name);
  CaseBuilder builder(*tape, dtype);
  const std::vector<Var> outputs = op_case.record(builder);
  const DType compute = compute_dtype(dtype);
  const Var loss = tape->persistent(
      state->declare({.name = "loss", .dtype = compute, .shape = {1}, .kind = Kind::step_value}));
  const Var seed = tape->persistent(
      state->declare({.name = "seed", .dtype = compute, .shape = {1}, .kind = Kind::step_value}));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorInfo info = tape->info(outputs[i]);
    const std::string name = "weights_of_output_" + std::to_string(i);
    const Rng rng(11, stream_of(name));
    std::vector<double> weights(static_cast<size_t>(info.elements()));
    for (size_t k = 0; k < weights.size(); ++k) weights[k] = rng.normal(k);
    CaseBuilder weight_builder(*tape, info.dtype);
    const Var w = weight_builder.constant(name, info.shape, weights);
    ops::weighted_sum(*tape, outputs[i], w, {loss, i == 0 ? Access::overwrite : Access::accumulate});
  }
  if (mark) mark(*tape);
  backward(*tape, loss, {.seed = seed, .gradient_dtype = compute});

  std::map<std::string, std::vector<double>> values = builder.values();
  std::vector<DType> output_dtypes;
  for (const Var v : outputs) output_dtypes.push_back(tape->info(v).dtype);
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::move(tape));
  BuiltCase built{std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend)),
                  builder.parameters()};
  Session& session = *built.session;
  for (const auto& [name, v] : values) set_values(session, name, dtype, v);
  for (const auto& [name, v] : builder.integer_values()) session.set(name, v);
  for (const auto& [name, v] : builder.integer64_values()) session.set(name, v);
  for (size_t i = 0; i < output_dtypes.size(); ++i) {
    const std::string name = "weights_of_output_" + std::to_string(i);
    const Rng rng(11, stream_of(name));
    std::vector<double> weights(
        static_cast<size_t>(elements_of(session.state()[session.state().require(name)].shape)));
    for (size_t k = 0; k < weights.size(); ++k) weights[k] = rng.normal(k);
    set_values(session, name, output_dtypes[i], weights);
  }
  set_values(session, "seed", compute, {1.0});
  return built;
}

double gradient_error(const OpCase& op_case, int samples, const std::function<void(Tape&)>& mark) {
  const BuiltCase built = build_case(op_case, DType::f64, 2, mark);
  Session& session = *built.session;
  session.run(0);
  const double loss = std::max(1.0, std::abs(session.get<double>("loss")[0]));
  double worst = 0;
  std::map<std::string, std::vector<double>> analytic;
  for (const std::string& name : built.parameters) {
    // A parameter no output depends on has no gradient at all.
    if (session.state().find(State::gradient_name(name)) >= 0)
      analytic[name] = session.get<double>(State::gradient_name(name));
  }
  for (const auto& [name, gradient] : analytic) {
    std::vector<double> values = session.get<double>(name);
    const Rng rng(13, stream_of(name));
    double difference = 0, norm = 0, squares = 1e-12;
    for (const double v : values) squares += v * v;
    const double scale = std::sqrt(squares / static_cast<double>(values.size()));  // the values' own size
    const size_t count = std::min(values.size(), static_cast<size_t>(samples));
    for (size_t s = 0; s < count; ++s) {
      const size_t i = values.size() <= count ? s : rng.below(s, values.size());
      // The fourth-order central difference: its error is of the order of h^4, rounding of 1e-16 / h.
      const double h = 1e-3 * std::max(scale, std::abs(values[i])), middle = values[i];
      const auto loss_at = [&](double x) {
        values[i] = x;
        session.set(name, values);
        session.run(0);
        return session.get<double>("loss")[0];
      };
      const double numeric = (8 * (loss_at(middle + h) - loss_at(middle - h)) -
                              (loss_at(middle + 2 * h) - loss_at(middle - 2 * h))) /
                             (12 * h);
      values[i] = middle;
      difference += (gradient[i] - numeric) * (gradient[i] - numeric);
      norm += numeric * numeric;
    }
    session.set(name, values);
    // A gradient that vanishes (one token's attention to itself) is known to the differences' rounding, which
    // is 1e-16 of the loss over h a value, sqrt(60) of them: 1e-12 of loss / scale. Ten times that passes
    // 1e-6.
    worst = std::max(worst, std::sqrt(difference) / std::max(std::sqrt(norm), 1e-5 * loss / scale));
  }
  return worst;
}

}  // namespace lethe::test
