// The claims about what is learned and forgotten.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/analysis/claims.h"
#include "tools/analysis/front.h"

namespace lethe::analysis {
namespace {

// Full fine-tuning and the LoRAs of a panel, each at the longest duration that all have.
struct AtOneDuration {
  const Condition* full = nullptr;
  Cell full_cell;
  std::vector<std::pair<const Condition*, Cell>> loras;  // by rank
};

AtOneDuration compared(const Grid& grid, const Panel& panel, const std::vector<Condition>& conditions) {
  std::vector<std::vector<Cell>> cells;
  for (const Condition& c : conditions) cells.push_back(grid.cells(panel, c));
  const std::vector<Cell> shared = at_longest_shared(cells);
  AtOneDuration found;
  for (size_t i = 0; i < shared.size(); ++i) {
    if (conditions[i].like->is_full()) {
      found.full = &conditions[i];
      found.full_cell = shared[i];
    } else {
      found.loras.emplace_back(&conditions[i], shared[i]);
    }
  }
  return found;
}

Comparison comparison(const Panel& panel, const std::string& label, const report::Look& look,
                      const Estimate& value) {
  return {.panel = panel.name(), .label = label, .look = look, .value = value, .verdict = verdict_of(value)};
}

// full - LoRA in `role` for every rank, in the panels of one family ("" for all).
void add_less(Claim& claim, const Grid& grid, const char* family, Role role) {
  for (const Panel& panel : grid.panels()) {
    if (*family && panel.family != family) continue;
    const std::vector<Condition> conditions = grid.main_conditions(panel);
    const AtOneDuration at = compared(grid, panel, conditions);
    const Measure& measure = role == Role::learning ? panel.learning.front() : panel.forgetting.front();
    if (!at.full) continue;
    for (const auto& [lora, cell_of_lora] : at.loras) {
      const Estimate less = difference(grid.gains(at.full_cell, measure), grid.gains(cell_of_lora, measure));
      if (less.known())
        claim.comparisons.push_back(comparison(
            panel, fmt::format("full − {}, {}", lora->label, duration_words(panel, at.full_cell.duration)),
            lora->look, scaled(less, measure.unit())));
    }
  }
}

// Losses in nats; where a panel has benchmarks alone, points.
std::string unit_words(const Grid& grid, Role role, const char* what) {
  bool points = false;
  for (const Panel& panel : grid.panels())
    points |= !(role == Role::learning ? panel.learning : panel.forgetting).front().is_loss();
  return fmt::format("{} ({})", what, points ? "nats per token, or points" : "nats per token");
}

}  // namespace

Claim learns_less(const Grid& grid) {
  Claim claim{.name = "learns_less",
              .text = "LoRA learns less in continued pretraining",
              .unit = unit_words(grid, Role::learning, "Full learned more than LoRA by"),
              .rule = "full fine-tuning learned more than LoRA, at the longest duration that all have"};
  add_less(claim, grid, "cpt", Role::learning);
  return claim;
}

Claim forgets_less(const Grid& grid) {
  Claim claim{.name = "forgets_less",
              .text = "LoRA forgets less",
              .unit = unit_words(grid, Role::forgetting, "Full forgot more than LoRA by"),
              .rule = "full fine-tuning forgot more than LoRA, at the longest duration that all have"};
  add_less(claim, grid, "", Role::forgetting);
  return claim;
}

Claim forgets_less_at_equal_learning(const Grid& grid) {
  Claim claim{
      .name = "forgets_less_at_equal_learning",
      .text = "LoRA forgets less at equal learning",
      .unit = unit_words(grid, Role::forgetting, "Full forgot more than LoRA by"),
      .rule = "full fine-tuning forgot more where both had learned as much, along each method's own front"};
  for (const Panel& panel : grid.panels()) {
    const std::vector<Condition> conditions = grid.main_conditions(panel);
    for (const Condition& lora : conditions) {
      if (lora.like->is_full() || !conditions.front().like->is_full()) continue;
      const EqualLearning equal = at_equal_learning(grid, panel, conditions.front(), lora);
      const double ul = panel.learning.front().unit(), uf = panel.forgetting.front().unit();
      if (equal.saved.known())
        claim.comparisons.push_back(
            comparison(panel, fmt::format("full − {} at {:.3f} learned", lora.label, ul * equal.learned),
                       lora.look, scaled(equal.saved, uf)));
    }
  }
  return claim;
}

Claim rank_orders_both(const Grid& grid) {
  Claim claim{.name = "rank_orders_both",
              .text = "Rank orders both what LoRA learns and what it forgets",
              .unit = unit_words(grid, Role::learning, "The higher rank learned, forgot more by"),
              .rule = "the next higher rank learned more, and forgot more"};
  for (const Panel& panel : grid.panels()) {
    const std::vector<Condition> conditions = grid.main_conditions(panel);
    const AtOneDuration at = compared(grid, panel, conditions);
    for (const Measure& measure : {panel.learning.front(), panel.forgetting.front()}) {
      for (size_t i = 1; i < at.loras.size(); ++i) {
        const auto& [low, low_cell] = at.loras[i - 1];
        const auto& [high, high_cell] = at.loras[i];
        const Estimate more = difference(grid.gains(high_cell, measure), grid.gains(low_cell, measure));
        if (more.known())
          claim.comparisons.push_back(
              comparison(panel,
                         fmt::format("r{} − r{}, {}", high->like->rank, low->like->rank,
                                     measure.role == Role::learning ? "learned" : "forgotten"),
                         high->look, scaled(more, measure.unit())));
      }
    }
  }
  return claim;
}

Claim instruction_tuning_closes_the_gap(const Grid& grid) {
  constexpr double margin =
      10;  // per cent: the paper's measure of a learning rate nearly as good as the best
  Claim claim{
      .name = "instruction_tuning_closes_the_gap",
      .text = "Instruction tuning closes the gap",
      .unit = "LoRA of the highest rank learned less than full by (% of full's)",
      .rule = fmt::format("in instruction tuning the gap lies below {:g}%, and below each gap of continued "
                          "pretraining; every method at its best duration",
                          margin),
      .mark = margin,
      .decimals = 1};
  std::vector<std::pair<std::string, Estimate>> pretraining;
  for (const Panel& panel : grid.panels()) {
    const Measure& measure = panel.learning.front();
    const auto best = [&](const Condition& c) {
      std::pair<Cell, Estimate> found;
      for (const Cell& at : grid.cells(panel, c)) {
        const Estimate learned = estimate_of(grid.gains(at, measure));
        if (learned.known() && (!found.second.known() || learned.value > found.second.value))
          found = {at, learned};
      }
      return found;
    };
    const std::vector<Condition> conditions = grid.main_conditions(panel);
    if (conditions.size() < 2 || !conditions.front().like->is_full()) continue;
    const auto [full_cell, full] = best(conditions.front());
    const auto [lora_cell, lora] = best(conditions.back());
    if (!full.known() || !lora.known() || !(full.value > 0)) continue;
    const Estimate gap =
        scaled(difference(grid.gains(full_cell, measure), grid.gains(lora_cell, measure)), 100 / full.value);
    Comparison own = comparison(panel, conditions.back().label, conditions.back().look, gap);
    Estimate room = gap;  // below the margin
    room.value = margin - gap.value;
    own.verdict = verdict_of(room);
    own.decides = panel.family == "ift";
    claim.comparisons.push_back(own);
    if (panel.family == "cpt") pretraining.emplace_back(panel.name(), gap);
    if (panel.family != "ift") continue;
    for (const auto& [name, before] : pretraining) {
      Estimate closed{.value = before.value - gap.value,
                      .seeds = std::min(before.seeds, gap.seeds),
                      .held_out = std::hypot(before.half_width(), gap.half_width()),
                      .basis = "both gaps"};
      claim.comparisons.push_back(comparison(panel, fmt::format("the gap of {} − this one", name),
                                             {.color = "cb", .marker = report::Marker::diamond}, closed));
    }
  }
  return claim;
}

}  // namespace lethe::analysis
