#include "engine/ops/copy.h"
#include "engine/ops/rmsnorm.h"
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

}  // namespace

std::vector<OpCase> basic_op_cases() {
  return {
      rmsnorm_case("rows1_width1", 1, 1, 1.0),
      rmsnorm_case("rows5_width7_pitch9", 5, 7, 1.0, 9),
      rmsnorm_case("rows3_width64", 3, 64, 1.0),
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
