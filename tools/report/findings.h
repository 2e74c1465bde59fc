// The report's words: sentences that say what was measured, whichever way it fell.
#pragma once

#include <string>
#include <vector>

#include "tools/report/outcome.h"

namespace lethe::report {

// How a study stands to one half of "LoRA learns less and forgets less": every LoRA run did less of it than
// full fine-tuning, by more than twice the standard error; some did (and none more); none did and some did
// more; some less and some more; or no difference was clear.
enum class Claim { holds, holds_in_part, fails, divided, undecided };

// For all LoRA runs against the full run. `undecided` when either kind is missing.
Claim learns_less(const std::vector<Outcome>& outcomes);
Claim forgets_less(const std::vector<Outcome>& outcomes);

struct Findings {
  std::string headline;
  std::string verdict;  // "agrees", "agrees in part", "contradicts", "can neither confirm nor deny"
  std::vector<std::string> sentences;  // the first says the verdict in full
};

// Runs that diverged or lack a score are named and left out of comparisons.
Findings findings_of(const Results& results, const std::vector<Outcome>& outcomes);

}  // namespace lethe::report
