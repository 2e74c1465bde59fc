// Means over several benchmarks.
#pragma once

#include <optional>
#include <vector>

#include "tools/eval/summary.h"

namespace lethe::eval {

// The plain mean of accuracy on HellaSwag, ARC-Challenge and WinoGrande, whose fall "LoRA Learns Less and
// Forgets Less" calls forgetting: of acc_norm where a benchmark has it, else of acc. Nothing unless all three
// are there.
std::optional<Summary> forgetting_average(const std::vector<Summary>& summaries);

// The plain mean of above_chance over all that have it. Not the gauntlet's own average, which takes more
// benchmarks. Nothing for fewer than two.
std::optional<Summary> gauntlet_average(const std::vector<Summary>& summaries);

}  // namespace lethe::eval
