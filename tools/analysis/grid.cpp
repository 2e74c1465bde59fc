#include "tools/analysis/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

constexpr std::array kSettings{Setting::width,        Setting::modules,           Setting::alpha,
                               Setting::weight_decay, Setting::attention_dropout, Setting::replay,
                               Setting::scale,        Setting::base_tokens,       Setting::base_target_share};

bool is_main_method(const Run& run) {
  return run.is_full() || run.method == "lora";
}

// Full fine-tuning has neither modules nor alpha.
bool applies(Setting setting, const Run& run) {
  return !run.is_full() || (setting != Setting::modules && setting != Setting::alpha);
}

const char* words_of(Setting setting) {
  switch (setting) {
    case Setting::modules:
      return "";
    case Setting::alpha:
      return "alpha/r ";
    case Setting::weight_decay:
      return "weight decay ";
    case Setting::attention_dropout:
      return "attention dropout ";
    case Setting::replay:
      return "replay ";
    case Setting::scale:
      return "scale ";
    case Setting::width:
      return "width ";
    case Setting::base_tokens:
      return "base tokens ";
    case Setting::base_target_share:
      return "target share ";
  }
  return "";
}

}  // namespace

std::string text_on(Setting setting, const Run& run) {
  const auto number = [](double v) { return std::isnan(v) ? "none" : fmt::format("{:g}", v); };
  switch (setting) {
    case Setting::modules:
      return run.modules;
    case Setting::alpha:
      return number(run.rank > 0 ? run.alpha / static_cast<double>(run.rank) : unknown);
    case Setting::weight_decay:
      return number(run.weight_decay);
    case Setting::attention_dropout:
      return number(run.attention_dropout);
    case Setting::replay:
      return number(run.replay);
    case Setting::scale:
      return number(run.scale);
    case Setting::width:
      return std::to_string(run.width);
    case Setting::base_tokens:
      return number(run.base_tokens);
    case Setting::base_target_share:
      return number(run.base_target_share);
  }
  return "";
}

std::string Panel::title() const {
  return (family == "cpt" ? "Continued pretraining on " : "Instruction tuning on ") + target;
}

std::string Panel::name() const {
  return (family == "cpt" ? "CPT " : "IFT ") + target;
}

std::string label_of(const Run& run) {
  static const std::map<std::string, std::string> names{
      {"lora", "LoRA"}, {"rslora", "rsLoRA"}, {"lora_plus", "LoRA+"}, {"dora", "DoRA"}, {"pissa", "PiSSA"}};
  return run.is_full() ? "full" : fmt::format("{} r{}", names.at(run.method), run.rank);
}

void give_looks(std::vector<Condition>& conditions) {
  using report::Marker;
  constexpr std::array markers{Marker::circle, Marker::square, Marker::triangle, Marker::diamond};
  bool full_seen = false;
  size_t others = 0;
  for (Condition& one : conditions) {
    const bool full = one.like->is_full() && !full_seen;
    full_seen |= full;
    const size_t index = full ? 0 : 1 + others++;
    const auto colors = static_cast<size_t>(report::data_colors - 1);
    one.look = {.label = one.label,
                .color = fmt::format("c{}", full ? 0 : 1 + (index - 1) % colors),
                .marker = markers[index % markers.size()],
                .dashed = index > colors};
  }
}

Grid::Grid(const Records& records) : records_(records) {
  std::map<std::string, const Run*> owners;
  const auto owner = [&](const std::string& job) {
    const auto [known, added] = owners.try_emplace(job, nullptr);
    if (added) known->second = records.run_of(job);
    return known->second;
  };
  for (const Score& score : records.scores)
    if (const Run* run = owner(score.job)) scores_[run->job].push_back(&score);
  for (const ChangeSpectrum& spectrum : records.spectra)
    if (const Run* run = owner(spectrum.job)) spectra_[run->job].push_back(&spectrum);
  for (const Run& run : records.runs) {
    if (run.is_base()) continue;
    const auto known = std::find_if(panels_.begin(), panels_.end(), [&](const Panel& p) {
      return p.family == run.family && p.target == run.target;
    });
    if (known == panels_.end()) panels_.push_back({.family = run.family, .target = run.target});
  }
  std::stable_sort(panels_.begin(), panels_.end(), [](const Panel& a, const Panel& b) {
    return std::pair(a.family, a.target) < std::pair(b.family, b.target);
  });
  for (Panel& panel : panels_) {
    std::vector<const Score*> scores;
    panel.by_epochs = panel.family == "ift";
    for (const Run& run : records.runs) {
      if (run.family != panel.family || run.target != panel.target) continue;
      if (std::isnan(run.epochs)) panel.by_epochs = false;
      const std::vector<const Score*> own = scores_of(run);
      scores.insert(scores.end(), own.begin(), own.end());
    }
    panel.learning = measures_in(scores, Role::learning, panel.target);
    panel.forgetting = measures_in(scores, Role::forgetting, "");
    find_usual(panel);
  }
  std::erase_if(panels_, [](const Panel& p) { return p.learning.empty() || p.forgetting.empty(); });
}

void Grid::find_usual(const Panel& panel) {
  const std::string own_width = std::to_string(records_.study.hidden_size);
  for (const Setting setting : kSettings) {
    std::vector<std::pair<std::string, int>> counts;  // in the file's order
    for (const Run& run : records_.runs) {
      if (run.family != panel.family || run.target != panel.target || !is_main_method(run)) continue;
      if (!applies(setting, run)) continue;
      if (setting != Setting::width && text_on(Setting::width, run) != usual(panel, Setting::width)) continue;
      const std::string text = text_on(setting, run);
      auto known = std::find_if(counts.begin(), counts.end(), [&](auto& c) { return c.first == text; });
      if (known == counts.end()) known = counts.insert(counts.end(), {text, 0});
      // Where several are equally frequent, the paper's choice.
      known->second += 2;
      if (known->second == 2 && (text == "all" || (setting == Setting::alpha && text == "2")))
        ++known->second;
      if ((setting == Setting::width && text == own_width) || (setting == Setting::scale && text == "1"))
        known->second = 1 << 30;
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    usual_[{panel.name(), setting}] = most == counts.end() ? "" : most->first;
  }
}

std::string Grid::usual(const Panel& panel, Setting setting) const {
  const auto found = usual_.find({panel.name(), setting});
  return found == usual_.end() ? "" : found->second;
}

bool Grid::is_usual(const Run& run, const std::vector<Setting>& except) const {
  const Panel panel{.family = run.family, .target = run.target};
  return std::all_of(kSettings.begin(), kSettings.end(), [&](Setting setting) {
    if (!applies(setting, run) || std::find(except.begin(), except.end(), setting) != except.end())
      return true;
    return text_on(setting, run) == usual(panel, setting);
  });
}

std::vector<Condition> Grid::grouped(const Panel& panel, const std::vector<Setting>& free,
                                     bool variants) const {
  std::vector<Condition> found;
  for (const Run& run : records_.runs) {
    if (run.family != panel.family || run.target != panel.target) continue;
    if (!(variants || is_main_method(run)) || !is_usual(run, free)) continue;
    std::string label = label_of(run);
    for (const Setting setting : free) {
      if (applies(setting, run) &&
          (setting == Setting::modules || text_on(setting, run) != usual(panel, setting)))
        label += std::string(", ") + words_of(setting) + text_on(setting, run);
    }
    auto known = std::find_if(found.begin(), found.end(), [&](auto& c) { return c.label == label; });
    if (known == found.end()) known = found.insert(found.end(), {.label = label, .like = &run});
    known->runs.push_back(&run);
  }
  std::stable_sort(found.begin(), found.end(), [&](const Condition& a, const Condition& b) {
    const auto key = [](const Condition& c) {
      return std::tuple(!c.like->is_full(), c.like->method != "lora", c.like->rank);
    };
    return key(a) < key(b);
  });
  give_looks(found);
  return found;
}

std::vector<Condition> Grid::main_conditions(const Panel& panel) const {
  return grouped(panel, {}, false);
}

std::vector<Condition> Grid::conditions_along(const Panel& panel, Setting setting) const {
  return grouped(panel, {setting}, false);
}

std::vector<Condition> Grid::variants(const Panel& panel) const {
  return grouped(panel, {}, true);
}

double Grid::duration_of(const Panel& panel, const Run& run) const {
  return panel.by_epochs ? run.epochs : run.duration_tokens;
}

std::vector<Cell> Grid::rates(const Panel& panel, const Condition& condition, double duration) const {
  std::map<double, Cell> by_rate;
  for (const Run* run : condition.runs) {
    if (duration_of(panel, *run) != duration) continue;
    Cell& cell = by_rate[run->learning_rate];
    cell.duration = duration;
    cell.learning_rate = run->learning_rate;
    if (std::none_of(cell.runs.begin(), cell.runs.end(), [&](const Run* o) { return o->seed == run->seed; }))
      cell.runs.push_back(run);
  }
  std::vector<Cell> found;
  for (auto& [rate, cell] : by_rate) found.push_back(std::move(cell));
  return found;
}

std::vector<Cell> Grid::cells(const Panel& panel, const Condition& condition) const {
  std::set<double> durations;
  for (const Run* run : condition.runs) {
    if (std::isfinite(duration_of(panel, *run))) durations.insert(duration_of(panel, *run));
  }
  std::vector<Cell> found;
  for (const double duration : durations) {
    const auto merit = [&](const Cell& cell) {
      const bool diverged =
          std::any_of(cell.runs.begin(), cell.runs.end(), [](const Run* run) { return run->diverged; });
      const Estimate learned = estimate_of(gains(cell, panel.learning.front()));
      return std::tuple(!diverged && learned.known(), cell.runs.size(),
                        learned.known() ? learned.value : -INFINITY);
    };
    const std::vector<Cell> all = rates(panel, condition, duration);
    found.push_back(*std::max_element(all.begin(), all.end(),
                                      [&](const Cell& a, const Cell& b) { return merit(a) < merit(b); }));
  }
  return found;
}

std::vector<const Score*> Grid::scores_of(const Run& run) const {
  const auto found = scores_.find(run.job);
  return found == scores_.end() ? std::vector<const Score*>{} : found->second;
}

std::vector<const ChangeSpectrum*> Grid::spectra_of(const Run& run) const {
  const auto found = spectra_.find(run.job);
  return found == spectra_.end() ? std::vector<const ChangeSpectrum*>{} : found->second;
}

std::vector<Timed> Grid::course(const Run& run, const Measure& measure) const {
  return timed(scores_of(run), measure);
}

Timed Grid::final_score(const Run& run, const Measure& measure) const {
  const std::vector<Timed> all = course(run, measure);
  return all.empty() || run.diverged ? Timed{} : all.back();
}

double Grid::base_score(const Run& run, const Measure& measure) const {
  for (const Run& base : records_.runs) {
    if (base.job != run.base || !base.is_base()) continue;
    // What a base is scored by is no role of its own: the same held-out text may be either.
    Measure other = measure;
    for (const Role role : {measure.role, Role::learning, Role::forgetting}) {
      other.role = role;
      const Timed last = final_score(base, other);
      if (std::isfinite(last.value)) return last.value;
    }
  }
  const Run* at = &run;
  for (size_t steps = 0; at && steps <= records_.jobs.size(); ++steps) {
    const std::vector<Timed> own = course(*at, measure);
    if (!own.empty() && own.front().step == 0) return own.front().value;
    const Job* const job = records_.find_job(at->job);
    at = nullptr;
    for (size_t i = 0; job && !at && i < job->depends_on.size(); ++i) {
      const Run* const before = records_.run_of(job->depends_on[i]);
      if (before && !before->is_base()) at = before;
    }
  }
  return unknown;
}

std::vector<Observation> Grid::values(const Cell& cell, const Measure& measure) const {
  std::vector<Observation> found;
  for (const Run* run : cell.runs) {
    const Timed last = final_score(*run, measure);
    found.push_back({run->seed, last.value, last.standard_error});
  }
  return found;
}

std::vector<Observation> Grid::gains(const Cell& cell, const Measure& measure) const {
  std::vector<Observation> found = values(cell, measure);
  for (size_t i = 0; i < found.size(); ++i)
    found[i].value = measure.gain(base_score(*cell.runs[i], measure), found[i].value);
  return found;
}

std::vector<Cell> at_longest_shared(const std::vector<std::vector<Cell>>& cells) {
  if (cells.empty()) return {};
  for (auto longest = cells.front().rbegin(); longest != cells.front().rend(); ++longest) {
    std::vector<Cell> shared;
    for (const std::vector<Cell>& own : cells) {
      const auto same = std::find_if(own.begin(), own.end(),
                                     [&](const Cell& c) { return c.duration == longest->duration; });
      if (same != own.end()) shared.push_back(*same);
    }
    if (shared.size() == cells.size()) return shared;
  }
  return {};
}

}  // namespace lethe::analysis
