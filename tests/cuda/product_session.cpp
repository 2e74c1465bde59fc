#include "tests/cuda/product_session.h"

#include <cmath>

#include "engine/host_values.h"
#include "engine/ops/matmul.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;

std::vector<double> waves(int64_t count, double step) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(step * static_cast<double>(i + 1));
  return values;
}

}  // namespace

void PrintTo(const ProductRequest& r, std::ostream* out) {
  *out << "form " << static_cast<int>(r.form) << ", " << r.m << " x " << r.n << " x " << r.k << " + "
       << r.more << ", " << name_of(r.operands) << " to " << name_of(r.output) << ", access "
       << static_cast<int>(r.access);
}

std::unique_ptr<Session> start_product(const ProductRequest& r, std::unique_ptr<Backend> backend) {
  const bool tn = r.form == MatmulForm::tn, nt = r.form == MatmulForm::nt;
  auto state = std::make_unique<State>();
  auto tape = std::make_unique<Tape>(*state, "product");
  const auto tensor = [&](const char* name, DType dtype, int64_t rows, int64_t width) {
    return tape->persistent(
        state->declare({.name = name, .dtype = dtype, .shape = {rows, width}, .pitch = width + r.more}));
  };
  const Var a = tensor("a", r.operands, tn ? r.k : r.m, tn ? r.m : r.k);
  const Var b = tensor("b", r.operands, nt ? r.n : r.k, nt ? r.k : r.n);
  const Var c = tensor("c", r.output, r.m, r.n);
  tape->append(ops::matmul(r.form, 1.5), {a, b}, {{c, r.access}}, "product");
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::move(tape));
  return std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend));
}

std::vector<double> product_result(const ProductRequest& r, Session& session, int runs) {
  set_host_values(session, "a", waves(r.m * r.k, 1.1));
  set_host_values(session, "b", waves(r.k * r.n, 0.7));
  for (int i = 0; i < runs; ++i) {
    set_host_values(session, "c", waves(r.m * r.n, 0.3));
    session.run(0);
  }
  return host_values(session, "c");
}

}  // namespace lethe::test
