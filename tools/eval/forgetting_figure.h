// Forgetting as a picture: what each benchmark lost, with its error.
#pragma once

#include "tools/eval/forgetting.h"
#include "tools/report/svg.h"

namespace lethe::eval {

// A row a benchmark: how its score changed, in points, with the interval of 95%; what was forgotten stands
// left of 0. Of several metrics of a task the last. Losses have an axis of their own.
report::Drawing forgetting_figure(const Forgetting& forgetting);

// Writes folder/forgetting.svg and, where rsvg-convert is there, .png. Throws IoError, RunError.
void write_forgetting_figure(const std::string& folder, const Forgetting& forgetting,
                             const std::string& title);

}  // namespace lethe::eval
