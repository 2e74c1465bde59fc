#include "tools/spectrum/analyse.h"

#include <cmath>

#include "tools/spectrum/spectrum.h"

namespace lethe {

ChangeAnalysis analyse_change(int64_t rows, int64_t columns, const double* base, const double* tuned,
                              SvdSolver& solver, bool intruders) {
  check_matrix(rows, columns, base);
  check_matrix(rows, columns, tuned);
  std::vector<double> change(tuned, tuned + rows * columns);
  double squares = 0;
  for (size_t i = 0; i < change.size(); ++i) {
    change[i] -= base[i];
    squares += base[i] * base[i];
  }
  ChangeAnalysis found{.singular_values = solver.values(rows, columns, change.data())};
  found.rank90 = rank_for_variance(found.singular_values, 0.9);
  found.stable_rank = stable_rank(found.singular_values);
  found.effective_rank = effective_rank(found.singular_values);
  found.frobenius = frobenius_norm(found.singular_values);
  found.relative_change = squares > 0 ? found.frobenius / std::sqrt(squares) : 0;
  if (intruders)
    found.intruder_dimensions = intruder_dimensions(rows, columns, solver.decomposition(rows, columns, base),
                                                    solver.decomposition(rows, columns, tuned));
  return found;
}

}  // namespace lethe
