// The windows that a long text is scored in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tools/eval/token_pair.h"

namespace lethe::eval {

// Every token once, as lm-evaluation-harness cuts them: windows of max_length tokens that begin with the last
// of the window before, or `prefix`; the last window reaches back as far as it may. No token, no window.
std::vector<ScoreRequest> rolling_windows(std::span<const int32_t> tokens, int32_t prefix,
                                          int64_t max_length);

}  // namespace lethe::eval
