// Documents packed into a row beside each in a program of its own.
#pragma once

#include <functional>

#include "tests/run/tiny_model.h"

namespace lethe::test {

// The largest difference between the logits of documents of these lengths in one row and those of each alone,
// over the largest logit. Weights are fresh, the same in all.
double packed_against_alone(ProgramSpec spec, const std::vector<int64_t>& lengths,
                            const std::function<std::unique_ptr<Backend>()>& make_backend);

}  // namespace lethe::test
