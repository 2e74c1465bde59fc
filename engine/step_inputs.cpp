#include "engine/step_inputs.h"

namespace lethe {

void declare_step_inputs(State& state, int64_t rows, int64_t tokens, DType compute) {
  for (const char* name : {step::ids, step::labels, step::positions, step::document_start}) {
    state.declare({.name = name, .dtype = DType::i32, .shape = {rows * tokens}, .kind = Kind::input});
  }
  const auto scalar = [&](const char* name, DType dtype) {
    state.declare({.name = name, .dtype = dtype, .shape = {1}, .kind = Kind::step_value});
  };
  for (const char* name : {step::seed, step::index, step::first_row, step::correct}) scalar(name, DType::i64);
  scalar(step::loss_gradient, compute_dtype(compute));
  scalar(step::loss_sum, DType::f64);
}

}  // namespace lethe
