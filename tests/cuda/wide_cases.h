// Rows of the operations' table for a GPU's sizes.
#pragma once

#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> wide_op_cases();

}  // namespace lethe::test
