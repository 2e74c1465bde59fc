// Rows of a table by token id.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// ids: int32 [rows], each within the table (checked by whoever fills them: kernels::cpu::first_invalid_id);
// table: [vocabulary, C]. Returns [rows, C] of the given dtype. The row padding_id gets no gradient; -1: none
// is left out. Throws ShapeError naming shapes and dtypes that do not fit.
Var embedding(Tape& tape, Var ids, Var table, DType dtype, const std::string& name = "embedding",
              int32_t padding_id = -1);

}  // namespace lethe::ops
