#include "engine/ops/add.h"
#include "engine/ops/cast.h"
#include "engine/ops/dropout.h"
#include "engine/ops/mul.h"
#include "engine/ops/silu.h"
#include "engine/ops/sum.h"
#include "engine/ops/swiglu.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> element_op_cases();

namespace {

// As in the model: gate and up are the halves of one product's output, here of a parameter times one.
OpCase swiglu_halves(const std::string& name, int64_t rows, int64_t width) {
  return {"swiglu_" + name, [=](CaseBuilder& b) {
            const Var both = b.parameter("gate_up", {rows, 2 * width});
            const Var joint = ops::silu(b.tape(), both, "gate_up");
            return std::vector<Var>{ops::swiglu(b.tape(), b.tape().columns(joint, 0, width, "gate"),
                                                b.tape().columns(joint, width, width, "up"))};
          }};
}

OpCase dropout_case(const std::string& name, int64_t rows, int64_t width, double p) {
  return {"dropout_" + name, [=](CaseBuilder& b) {
            const ops::StepRandom random{.seed = b.integers64("seed64", {1}, {5}),
                                         .step = b.integers64("step", {1}, {3}),
                                         .first_row = b.integers64("first_row", {1}, {11})};
            const Var x = b.parameter("x", {rows, width});
            return std::vector<Var>{ops::dropout(b.tape(), x, p, random, 77)};
          }};
}

OpCase residual_case(const std::string& name, int64_t rows, int64_t width, int64_t pitch) {
  return {"residual_" + name, [=](CaseBuilder& b) {
            const Var x = b.parameter("x", {rows, width}, 1.0, pitch);
            const Var y = b.parameter("y", {rows, width});
            const Var once = ops::add(b.tape(), x, ops::silu(b.tape(), y), "once");
            return std::vector<Var>{ops::add(b.tape(), once, ops::mul(b.tape(), once, x), "twice")};
          }};
}

}  // namespace

std::vector<OpCase> element_op_cases() {
  return {
      swiglu_halves("rows1_width1", 1, 1),
      swiglu_halves("rows3_width7", 3, 7),
      swiglu_halves("rows2_width1025", 2, 1025),
      {"swiglu_parameters",
       [](CaseBuilder& b) {
         const Var gate = b.parameter("gate", {4, 5}, 3.0, 8), up = b.parameter("up", {4, 5});
         return std::vector<Var>{ops::swiglu(b.tape(), gate, up)};
       }},
      {"swiglu_pitch",
       [](CaseBuilder& b) {
         const Var gate = b.parameter("gate", {4, 5}), up = b.parameter("up", {4, 5});
         const Var y = ops::swiglu(b.tape(), gate, up, "swiglu", 9);
         return std::vector<Var>{ops::mul(b.tape(), y, y)};
       }},
      {"swiglu_frozen_gate",
       [](CaseBuilder& b) {
         const Var gate = b.constant("gate", {1, 3}, {0.5, -1, 2}), up = b.parameter("up", {1, 3});
         return std::vector<Var>{ops::swiglu(b.tape(), gate, up)};
       }},
      {"swiglu_of_itself",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 7});
         return std::vector<Var>{ops::swiglu(b.tape(), x, x)};
       }},
      {"silu_mul_rows3_width1025",
       [](CaseBuilder& b) {
         const Var gate = b.parameter("gate", {3, 1025}), up = b.parameter("up", {3, 1025});
         return std::vector<Var>{ops::mul(b.tape(), ops::silu(b.tape(), gate), up)};
       }},
      {"mul_square",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {7});
         return std::vector<Var>{ops::mul(b.tape(), x, x)};
       }},
      residual_case("rows1_width1", 1, 1, 0),
      residual_case("rows5_width7_pitch9", 5, 7, 9),
      {"add_to_itself",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 5});
         const Var y = ops::silu(b.tape(), x);
         return std::vector<Var>{ops::add(b.tape(), y, y)};
       }},
      dropout_case("rows3_width7", 3, 7, 0.3),
      dropout_case("rows2_width1025", 2, 1025, 0.5),
      dropout_case("of_nothing", 2, 5, 0.0),
      {"cast_there_and_back",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 7});
         const Var y = ops::cast(b.tape(), ops::silu(b.tape(), x), b.dtype(), "same");
         return std::vector<Var>{y};
       }},
      {"sum_rows3_width1025",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 1025});
         const Var s = b.tape().tensor({1}, compute_dtype(b.dtype()), "s");
         ops::sum(b.tape(), ops::mul(b.tape(), x, x), {s});
         return std::vector<Var>{s};
       }},
  };
}

}  // namespace lethe::test
