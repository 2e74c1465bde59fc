#include "tools/analysis/claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/analysis/draw.h"

namespace lethe::analysis {
namespace {

report::Drawing drawing_of(const Claim& claim) {
  std::vector<Row> rows;
  for (const Comparison& c : claim.comparisons)
    rows.push_back({.group = "",
                    .label = c.panel + ": " + c.label,
                    .look = c.look,
                    .cells = {c.value},
                    .note = c.decides ? fmt::format("{} · {}", with_interval(c.value, claim.decimals),
                                                    words_of(c.verdict))
                                      : with_interval(c.value, claim.decimals)});
  return forest(rows, {{claim.unit, claim.mark}});
}

std::string summary_of(const Claim& claim) {
  if (claim.comparisons.empty()) return "the file has no lines to decide it by";
  const auto count = [&](Verdict v) {
    return std::count_if(claim.comparisons.begin(), claim.comparisons.end(),
                         [&](const Comparison& c) { return c.decides && c.verdict == v; });
  };
  return fmt::format("{} hold, {} do not, {} not decided", count(Verdict::holds),
                     count(Verdict::does_not_hold), count(Verdict::not_decided));
}

}  // namespace

Verdict Claim::verdict() const {
  std::vector<Verdict> verdicts;
  for (const Comparison& c : comparisons)
    if (c.decides) verdicts.push_back(c.verdict);
  return all_of(verdicts);
}

std::vector<Claim> claims_of(const Grid& grid) {
  std::vector<Claim> claims;
  for (const auto claim :
       {learns_less, forgets_less, forgets_less_at_equal_learning, rank_orders_both,
        full_change_has_high_rank, best_rate_is_ten_times, instruction_tuning_closes_the_gap})
    claims.push_back(claim(grid));
  return claims;
}

Analysis claims_analysis(const Grid& grid) {
  Analysis found{.name = "claims", .title = "Which of the paper's claims hold at this scale"};
  found.table.columns = {"claim", "panel", "comparison", "unit"};
  add_estimate_columns(found.table.columns, "value");
  found.table.columns.insert(found.table.columns.end(), {"interval", "verdict"});
  found.words =
      "A comparison holds where its whole 95% interval lies on the claim's side, does not hold where it lies "
      "on the "
      "other, and is not decided otherwise. A claim holds where all its comparisons do, does not hold where "
      "one does "
      "not, and is not decided otherwise.\n\n| claim | verdict | comparisons | a comparison holds if |\n"
      "| --- | --- | --- | --- |\n";
  std::vector<std::pair<std::string, report::Drawing>> parts;
  for (const Claim& claim : claims_of(grid)) {
    found.words += fmt::format("| {} | **{}** | {} | {} |\n", claim.text, words_of(claim.verdict()),
                               summary_of(claim), claim.rule);
    for (const Comparison& c : claim.comparisons) {
      std::vector<std::string> row{claim.name, c.panel, c.label, claim.unit};
      add_estimate(row, c.value);
      row.push_back(c.value.source());
      row.emplace_back(c.decides ? words_of(c.verdict) : "");
      found.table.rows.push_back(std::move(row));
    }
    if (!claim.comparisons.empty())
      parts.emplace_back(fmt::format("{}: {}", claim.text, words_of(claim.verdict())), drawing_of(claim));
  }
  if (!parts.empty()) found.figure = stacked(parts);
  return found;
}

}  // namespace lethe::analysis
