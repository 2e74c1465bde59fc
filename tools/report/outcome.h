// What a run came to: its held-out scores before and after, and what follows from them.
#pragma once

#include <vector>

#include "tools/report/results.h"

namespace lethe::report {

struct Score {
  double loss = unknown, accuracy = unknown, standard_error = unknown;
};

// Losses in nats per token. A number that was not measured is NaN.
struct Outcome {
  Run run;
  Score source_before, source_after, target_before, target_after;
  double rank90 = unknown;  // median over the tensors of the blocks

  // By how much the held-out target loss fell, and the held-out source loss rose.
  double learned() const { return target_before.loss - target_after.loss; }
  double forgot() const { return source_after.loss - source_before.loss; }
  // Its last scores are finite, and those before are known.
  bool complete() const;
  // It was measured, and its last loss was not a number.
  bool diverged = false;
};

// One outcome a run but the base, in the file's order. "Before" is the run's own score at step 0, or else the
// base's last one.
std::vector<Outcome> outcomes_of(const Results& results);

// a - b and its standard error, sqrt(a^2 + b^2) as if the two were independent. Both are scores on the same
// held-out text, so that the true error of the difference is smaller: calling it clear is on the safe side.
struct Difference {
  double value = unknown, standard_error = unknown;
  // More than twice the standard error; false where that is unknown.
  bool clear() const;
};
// How much more a learned than b, and forgot: from their losses after, since both started from one base.
Difference learned_more(const Outcome& a, const Outcome& b);
Difference forgot_more(const Outcome& a, const Outcome& b);

// What `run` had forgotten, in nats, when it had first learned `learned`: linear between its points. NaN when
// it never learned that much.
double forgot_when_learned(const Results& results, const std::string& run, double learned);

// Middle value; the mean of the two middle ones for an even count; NaN for none.
double median(std::vector<double> values);

}  // namespace lethe::report
