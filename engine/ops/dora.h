// DoRA's magnitudes beside a low-rank adapter (Liu et al. 2024; formulas: kernels/dora.h):
//   y = c z, column by column,   z = x (W + s B A)^T,   c = m / ||W + s B A||, the norm a constant.
#pragma once

#include <string>

#include "engine/tape.h"

namespace lethe::ops {

// squares[i] = ||w_i||^2. w: [rows, width]; squares: [rows] in w's compute type. Throws ShapeError.
void row_squares(Tape& tape, Var w, Var squares);

// What a map's norms are made of. C: the compute type of `weight`.
struct DoraMap {
  Var weight;     // W [out, in], frozen
  Var squares;    // [out], C: row_squares of W
  Var a, b;       // [r, in], [out, r], as they are multiplied with
  Var magnitude;  // m [out], C: trained
  double scale = 1;
};
struct DoraFactors {
  Var factor, inverse_norm;  // m / n and 1 / n: [out], C
};
// Records W A^T, A A^T and the factors. Once a program for each map. Throws ShapeError.
DoraFactors dora_factors(Tape& tape, const DoraMap& map, const std::string& name = "dora");

// y = z * factor. z: [rows, out], perhaps columns of a wider product; y: the same shape, read by no node yet.
// The gradient goes to z and, by inverse_norm, to magnitude. Without magnitude (an invalid Var) z alone has
// one. Throws ShapeError.
void scale_columns(Tape& tape, Var z, const DoraFactors& factors, Var magnitude, Var y,
                   const std::string& name = "dora");

}  // namespace lethe::ops
