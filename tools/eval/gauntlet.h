// The rules of MosaicML's Eval Gauntlet (llm-foundry): how its examples are drawn, its texts become tokens
// and its choices are ranked. "LoRA Learns Less and Forgets Less" measured forgetting by them.
#pragma once

#include <cstdint>
#include <vector>

namespace lethe::eval {

// For each of the first `documents` the places of its examples among all `pool`, in the order of the prompt:
// drawn from the evaluated file itself, the document left out, and walked through as CPython walks through a
// set. One generator for all documents; of fewer than shots + 1, all others stand before each.
std::vector<std::vector<int64_t>> draw_gauntlet_shots(int64_t documents, int64_t pool, int64_t shots,
                                                      uint64_t seed = 1234);

// The choice with the smallest mean cross-entropy of its tokens, the first of equals.
int64_t smallest_mean_loss(const std::vector<double>& log_likelihoods, const std::vector<int64_t>& tokens);

// (accuracy - baseline) / (1 - baseline): 0 is chance, 1 is perfect.
double above_chance(double accuracy, double baseline);

}  // namespace lethe::eval
