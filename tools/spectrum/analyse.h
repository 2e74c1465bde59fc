// What training did to one matrix: the spectrum of its change, and whether it made directions of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/spectrum/solver.h"

namespace lethe {

struct ChangeAnalysis {
  std::vector<double> singular_values;  // of tuned - base, descending; all min(rows, columns) of them
  int64_t rank90 = 0;                   // rank_for_variance(..., 0.9)
  double stable_rank = 0, effective_rank = 0;
  double frobenius = 0, relative_change = 0;  // of the change, and over the base's
  int64_t intruder_dimensions = -1;           // -1: not counted
};

// Of two row-major matrices [rows, columns]. Counting intruders takes two whole decompositions more. Throws
// as the solver does.
ChangeAnalysis analyse_change(int64_t rows, int64_t columns, const double* base, const double* tuned,
                              SvdSolver& solver, bool intruders = true);

}  // namespace lethe
