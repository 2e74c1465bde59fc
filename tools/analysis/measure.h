// What a model is scored by, and which of it a study has.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/analysis/estimate.h"
#include "tools/analysis/records.h"

namespace lethe::analysis {

// One score, or the plain mean of several benchmarks (the paper's forgetting score).
struct Measure {
  Role role = Role::learning;
  std::vector<std::pair<std::string, std::string>> parts;  // name, metric

  bool is_loss() const;
  double unit() const { return is_loss() ? 1 : 100; }  // what it is shown in: nats, or per cent
  std::string label() const;                           // "python loss", "mean accuracy of 5 benchmarks"
  std::string axis() const;                            // the same with its unit
  std::string key() const;                             // for tables: "python loss", "benchmarks"
  // How much better (learning) or worse (forgetting) `value` is than `base`; positive is what the role says.
  double gain(double base, double value) const;
};

// The measures that these lines have of one role: losses first, `first_name`'s before others', then
// benchmarks. Accuracies of text that has a loss say the same and are left out. Of a benchmark's metrics the
// normalised one is taken; benchmarks of what is forgotten are one mean.
std::vector<Measure> measures_in(const std::vector<const Score*>& scores, Role role,
                                 const std::string& first_name);

// A score at one step of a run.
struct Timed {
  int64_t step = 0;
  double tokens = unknown, value = unknown, standard_error = unknown;
};

// The steps at which every part was scored, in order. A mean's error is that of independent benchmarks.
std::vector<Timed> timed(const std::vector<const Score*>& scores, const Measure& measure);

}  // namespace lethe::analysis
