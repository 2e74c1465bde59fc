#include "tools/spectrum/solver.h"

namespace lethe {
namespace {

class Lapack : public SvdSolver {
 public:
  std::vector<double> values(int64_t rows, int64_t columns, const double* a) override {
    return singular_values(rows, columns, a);
  }
  Svd decomposition(int64_t rows, int64_t columns, const double* a) override {
    return singular_value_decomposition(rows, columns, a);
  }
  std::string name() const override { return "LAPACK"; }
};

}  // namespace

std::unique_ptr<SvdSolver> lapack_solver() {
  return std::make_unique<Lapack>();
}

std::unique_ptr<SvdSolver> fastest_solver() {
  std::string missing;
  std::unique_ptr<SvdSolver> solver = cusolver_solver(missing);
  return solver ? std::move(solver) : lapack_solver();
}

}  // namespace lethe
