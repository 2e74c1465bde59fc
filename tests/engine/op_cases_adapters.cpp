// DoRA's magnitudes. Its gradient holds the norms constant, so the cases do too: what the norms are made of
// stands there a second time, as constants of the same values.
#include "engine/ops/add_linear.h"
#include "engine/ops/cast.h"
#include "engine/ops/dora.h"
#include "engine/ops/linear.h"
#include "engine/rng.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> adapter_op_cases();

namespace {

std::vector<double> normal(const std::string& name, int64_t count) {
  const Rng rng(9, stream_of(name));
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(rng.normal(static_cast<uint64_t>(i)));
  return values;
}

// The whole linear map y = (m / n) (x W^T + s x A^T B^T): gradients of x, A, B and m. A second part beside
// it, without an adapter, reads the same product.
OpCase dora_case(const std::string& name, int64_t rows, int64_t in, int64_t out, int64_t rank,
                 int64_t pitch = 0) {
  return {
      "dora_" + name, [=](CaseBuilder& b) {
        Tape& tape = b.tape();
        constexpr double scale = 0.7;
        const DType compute = compute_dtype(b.dtype());
        const std::vector<double> a = normal("a", rank * in), up = normal("b", out * rank);
        const Var x = b.parameter("x", {rows, in});
        const Var w = b.constant("w", {2 * out, in}, normal("w", 2 * out * in));
        const Var own = tape.view(w, 0, {out, in}, "own");
        const Var z = ops::linear(tape, x, w, "z", pitch);
        const Var z_own = tape.columns(z, 0, out, "z_own"), z_other = tape.columns(z, out, out, "z_other");
        const Var u = ops::linear(tape, x, b.parameter("a", {rank, in}, a), "u");
        ops::add_linear(tape, z_own, u, b.parameter("b", {out, rank}, up), scale);

        const Var squares = tape.tensor({out}, compute, "squares");
        ops::row_squares(tape, own, squares);
        const Var m = b.parameter("m", {out});
        const ops::DoraFactors factors = ops::dora_factors(tape, {.weight = own,
                                                                  .squares = squares,
                                                                  .a = b.constant("a_held", {rank, in}, a),
                                                                  .b = b.constant("b_held", {out, rank}, up),
                                                                  .magnitude = ops::cast(tape, m, compute),
                                                                  .scale = scale});
        const Var y = tape.tensor({rows, 2 * out}, b.dtype(), "y");
        const Var y_own = tape.columns(y, 0, out, "y_own"), y_other = tape.columns(y, out, out, "y_other");
        const std::vector<double> ones(static_cast<size_t>(out), 1.0);
        const Var one = ops::cast(tape, b.constant("one", {out}, ones), compute);
        ops::scale_columns(tape, z_own, factors, ops::cast(tape, m, compute), y_own);
        ops::scale_columns(tape, z_other, {one, one}, {}, y_other);
        return std::vector<Var>{y_own, y_other};
      }};
}

}  // namespace

std::vector<OpCase> adapter_op_cases() {
  return {
      dora_case("rows1", 1, 3, 2, 1),
      dora_case("rows67_rank5_pitch40", 67, 11, 17, 5, 40),
      dora_case("rows300_out136_rank8", 300, 16, 136, 8),
  };
}

}  // namespace lethe::test
