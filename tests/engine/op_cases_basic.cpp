#include "engine/ops/copy.h"
#include "engine/ops/mul.h"
#include "engine/ops/rmsnorm.h"
#include "engine/ops/silu.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> basic_op_cases();

namespace {

OpCase rmsnorm_case(const std::string& name, int64_t rows, int64_t width, double spread, int64_t pitch = 0) {
  return {"rmsnorm_" + name, [=](CaseBuilder& b) {
            const Var x = b.parameter("x", {rows, width}, spread, pitch);
            const Var gain = b.parameter("gain", {width});
            return std::vector<Var>{ops::rmsnorm(b.tape(), x, gain, 1e-5)};
          }};
}

// A residual block: the sum is read by the norm and again further on, y by nothing else. `again`: the norm is
// not kept.
OpCase add_rmsnorm_case(const std::string& name, int64_t rows, int64_t width, int64_t pitch, bool again) {
  return {"add_rmsnorm_" + name, [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const Var x = ops::silu(tape, b.parameter("x", {rows, width}), "x.activation");
            const Var y = ops::silu(tape, b.parameter("y", {rows, width}), "y.activation");
            const Var g0 = b.parameter("g0", {width}), g1 = b.parameter("g1", {width});
            const auto first = ops::add_rmsnorm(tape, x, y, g0, 1e-5, "z0", "n0", pitch);
            const Var inner = ops::mul(tape, first.norm, first.norm, "inner");
            const auto second = ops::add_rmsnorm(tape, first.sum, inner, g1, 1e-5, "z1", "n1", pitch);
            for (Node& node : tape.nodes()) node.remade = again && node.remake.op != nullptr;
            return std::vector<Var>{second.norm, ops::mul(tape, second.norm, second.sum, "both")};
          }};
}

}  // namespace

std::vector<OpCase> basic_op_cases() {
  return {
      rmsnorm_case("rows1_width1", 1, 1, 1.0),
      rmsnorm_case("rows5_width7_pitch9", 5, 7, 1.0, 9),
      rmsnorm_case("rows3_width64", 3, 64, 1.0),
      add_rmsnorm_case("rows1_width1", 1, 1, 0, false),
      add_rmsnorm_case("rows5_width7_pitch9", 5, 7, 9, true),
      add_rmsnorm_case("rows3_width1025", 3, 1025, 0, true),
      {"add_rmsnorm_parameters",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 5}, 1.0, 6), y = b.parameter("y", {3, 5});
         const auto made = ops::add_rmsnorm(b.tape(), x, y, b.parameter("gain", {5}), 1e-5);
         return std::vector<Var>{made.sum, made.norm};
       }},
      {"add_rmsnorm_of_itself",
       [](CaseBuilder& b) {
         const Var x = ops::silu(b.tape(), b.parameter("x", {3, 5}));
         return std::vector<Var>{ops::add_rmsnorm(b.tape(), x, x, b.parameter("gain", {5}), 1e-5).norm};
       }},
      {"add_rmsnorm_frozen_gain_sum_only",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {2, 3}), y = b.parameter("y", {2, 3});
         const Var gain = b.constant("gain", {3}, {0.5, -1, 2});
         return std::vector<Var>{ops::add_rmsnorm(b.tape(), x, y, gain, 1e-5).sum};
       }},
      {"rmsnorm_gain_alone",
       [](CaseBuilder& b) {
         const Var x = b.constant("x", {2, 3}, {0.5, -1, 2, 1, 1, 0.25});
         return std::vector<Var>{ops::rmsnorm(b.tape(), x, b.parameter("gain", {3}), 1e-5)};
       }},
      rmsnorm_case("rows3_width1025", 3, 1025, 1.0),
      // Rows so small that epsilon decides.
      rmsnorm_case("rows2_width7_small", 2, 7, 1e-2),
      {"copy_rows3_width5",
       [](CaseBuilder& b) {
         const Var x = b.parameter("x", {3, 5});
         const Var y = b.tape().tensor({3, 5}, b.dtype(), "y");
         ops::copy(b.tape(), x, {y});
         return std::vector<Var>{y, x};
       }},
  };
}

}  // namespace lethe::test
