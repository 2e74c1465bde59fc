// A grid study sorted out: which runs answer which question, and at which learning rate a method is compared.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/analysis/measure.h"
#include "tools/analysis/setting.h"
#include "tools/report/plot.h"

namespace lethe::analysis {

// One training regime on one target.
struct Panel {
  std::string family, target;
  bool by_epochs = false;                     // durations are epochs, not tokens
  std::vector<Measure> learning, forgetting;  // the first of each decides
  std::string title() const;                  // "Continued pretraining on python"
  std::string name() const;                   // "CPT python"
};

// One duration of one condition at the learning rate it is compared at: one run a seed.
struct Cell {
  double duration = unknown, learning_rate = unknown;
  std::vector<const Run*> runs;
};

// A method with its settings: what is one line of a figure.
struct Condition {
  std::string label;
  report::Look look;
  const Run* like = nullptr;  // one of its runs
  std::vector<const Run*> runs;
};

class Grid {
 public:
  // Refers to `records`.
  explicit Grid(const Records& records);

  const Records& records() const { return records_; }
  const std::vector<Panel>& panels() const { return panels_; }

  // Full fine-tuning and LoRA by rank, with every setting at the value that most runs of the panel have (the
  // update unscaled, the study's own width).
  std::vector<Condition> main_conditions(const Panel& panel) const;
  // The same with `settings` free: a condition a combination of their values. Its labels name the values that
  // are not the usual ones.
  std::vector<Condition> conditions_along(const Panel& panel, const std::vector<Setting>& settings) const;
  // LoRA's variants beside full fine-tuning and LoRA.
  std::vector<Condition> variants(const Panel& panel) const;
  // Whether the run has the usual value on every setting but `except`.
  bool is_usual(const Run& run, const std::vector<Setting>& except = {}) const;
  std::string usual(const Panel& panel, Setting setting) const;

  // By duration. Of several learning rates that which most seeds have and none diverged with; of those the
  // one that learned most by the panel's first measure.
  std::vector<Cell> cells(const Panel& panel, const Condition& condition) const;
  // All learning rates of one duration.
  std::vector<Cell> rates(const Panel& panel, const Condition& condition, double duration) const;
  double duration_of(const Panel& panel, const Run& run) const;

  std::vector<const Score*> scores_of(const Run& run) const;
  std::vector<const ChangeSpectrum*> spectra_of(const Run& run) const;
  std::vector<Timed> course(const Run& run, const Measure& measure) const;
  Timed final_score(const Run& run, const Measure& measure) const;
  // Of the run's base: its last score, or else the run's own at step 0, or that of the run it branched from.
  double base_score(const Run& run, const Measure& measure) const;

  // One a seed: the last score, and how much was learned or forgotten since the base (measure.gain).
  std::vector<Observation> values(const Cell& cell, const Measure& measure) const;
  std::vector<Observation> gains(const Cell& cell, const Measure& measure) const;

 private:
  std::vector<Condition> grouped(const Panel& panel, const std::vector<Setting>& free, bool variants) const;
  void find_usual(const Panel& panel);

  const Records& records_;
  std::map<std::string, std::vector<const Score*>> scores_;  // by run
  std::map<std::string, std::vector<const ChangeSpectrum*>> spectra_;
  std::vector<Panel> panels_;
  std::map<std::pair<std::string, Setting>, std::string> usual_;  // by panel's name and setting
};

// "full", "LoRA r16", "DoRA r16".
std::string label_of(const Run& run);

// Colours and markers in the order given: full fine-tuning the first colour, the others those after it.
void give_looks(std::vector<Condition>& conditions);

// The cell of the longest duration that all of these have, one for each, or none at all.
std::vector<Cell> at_longest_shared(const std::vector<std::vector<Cell>>& cells);

}  // namespace lethe::analysis
