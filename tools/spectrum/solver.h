// Where a singular value decomposition is computed: by LAPACK, or by cuSOLVER on a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/spectrum/svd.h"

namespace lethe {

class SvdSolver {
 public:
  virtual ~SvdSolver() = default;
  // As singular_values and singular_value_decomposition (svd.h), with the same errors for the matrix.
  virtual std::vector<double> values(int64_t rows, int64_t columns, const double* a) = 0;
  virtual Svd decomposition(int64_t rows, int64_t columns, const double* a) = 0;
  virtual std::string name() const = 0;
};

std::unique_ptr<SvdSolver> lapack_solver();

// cuSOLVER's polar decomposition (gesvdp) in double precision on the current GPU, or its QR iteration (gesvd)
// where the first had to perturb the matrix by more than 1e-12 of its norm. The library is opened when this
// is called; what is missing (no GPU, no libcusolver, a build without CUDA) makes it nullptr with the reason
// in `missing`. The solver's functions throw DeviceError when CUDA or cuSOLVER fails.
std::unique_ptr<SvdSolver> cusolver_solver(std::string& missing);

// cuSOLVER's where there is one, else LAPACK's.
std::unique_ptr<SvdSolver> fastest_solver();

}  // namespace lethe
