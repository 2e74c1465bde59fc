// Which of the paper's claims hold in a study: each comparison with its number, its interval and a verdict
// that is computed from them.
#pragma once

#include <string>
#include <vector>

#include "tools/analysis/analysis.h"

namespace lethe::analysis {

struct Comparison {
  std::string panel, label;
  report::Look look;
  Estimate value;  // in the claim's unit
  Verdict verdict = Verdict::not_decided;
  bool decides = true;  // false: shown for context
};

struct Claim {
  std::string name, text;  // "rank_orders_both", "Rank orders what is learned and what is forgotten"
  std::string unit;        // of the values, for the axis
  std::string rule;        // what makes a comparison hold
  double mark = 0;         // where the axis has its line: no difference, or what the claim says
  int decimals = 3;
  std::vector<Comparison> comparisons;

  // Of all that decide (all_of).
  Verdict verdict() const;
};

Claim learns_less(const Grid& grid);
Claim forgets_less(const Grid& grid);
Claim forgets_less_at_equal_learning(const Grid& grid);
Claim rank_orders_both(const Grid& grid);
Claim full_change_has_high_rank(const Grid& grid);
Claim best_rate_is_ten_times(const Grid& grid);
Claim instruction_tuning_closes_the_gap(const Grid& grid);

std::vector<Claim> claims_of(const Grid& grid);
// The section of the report: its figure has one panel a claim.
Analysis claims_analysis(const Grid& grid);

}  // namespace lethe::analysis
