// Tests that every rank of a launcher runs.
#pragma once

#include "engine/comm/comm.h"

namespace lethe::test {

// All ranks of this test's processes.
Comm& ranks();

}  // namespace lethe::test
