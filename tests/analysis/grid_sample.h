// A small results.jsonl of a grid study whose numbers follow formulas that can be worked out by hand.
#pragma once

#include <cstdint>
#include <string>

namespace lethe::analysis {

struct GridSample {
  int64_t seeds = 3;
  bool pretraining = true, instructions = true, rates = true, settings = true, widths = true, spectra = true,
       samples = true, benchmarks = true;
};

// Losses in nats. A run at rate x of d million tokens (or epochs) with seed s learned
//   G = share * log2(1 + d) - 0.1 * log10(x / best)^2 + noise * (s - 1)
// and forgot price * G^2, from a base of 4.0 on the new domain and 3.0 on the old one:
//              share  price  best   noise
//   full        0.4    0.5   1e-3   0.010
//   LoRA r4     0.2    0.2   1e-2   0.004
//   LoRA r16    0.3    0.3   1e-2   0.006
// Standard errors are 0.01. Instruction tuning has a share of 0.4 for r16 too. Seeds 0 ... are run at the
// best rates, the others with seed 0.
struct MethodRule {
  double share = 0, price = 0, best = 0, noise = 0;
};
MethodRule rule_of(int64_t rank, bool instructions);
double learned_by(const MethodRule& rule, double duration, double rate, int64_t seed);

std::string grid_text(const GridSample& sample);

// Written to a file of a unique name in the tests' temporary folder.
std::string grid_file(const GridSample& sample);
std::string file_of(const std::string& text);

}  // namespace lethe::analysis
