// What "LoRA Learns Less and Forgets Less" measured (arXiv 2405.09673 v2, tables S1 to S8, Llama-2-7B): what
// a method learned and forgot, read between the durations that were run.
#pragma once

#include <cstdint>
#include <string>

namespace lethe::advise {

enum class Kind { pretraining, instructions };
enum class Domain { code, math };

struct Measured {
  double learned = 0, forgotten = 0;            // points of accuracy since the base
  double full_learned = 0, full_forgotten = 0;  // full fine-tuning's at the same duration
  double duration = 0;                          // billions of tokens or epochs, inside what was run
  bool clamped = false;                         // the duration that was asked for lay outside
  std::string tables;                           // "S1, S2"
};

// rank 16, 64 or 256, or 0 for full fine-tuning; linear between the durations in their logarithm. The base's
// scores: HumanEval 13.8 and the forgetting score 67.1 (read off figures 1 and 2), GSM8K 14.5 (appendix C).
// Throws RequestError for another rank or a duration that is not above 0.
Measured measured_in_paper(Kind kind, Domain domain, int64_t rank, double duration);

// Of {1, 2, 4, 8, 16} epochs that after which a method had learned most.
int64_t best_epochs(Domain domain, int64_t rank);

}  // namespace lethe::advise
