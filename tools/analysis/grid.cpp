#include "tools/analysis/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

bool is_main_method(const Run& run) {
  return run.is_full() || run.method == "lora";
}

}  // namespace

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

std::vector<Condition> Grid::conditions_along(const Panel& panel,
                                              const std::vector<Setting>& settings) const {
  return grouped(panel, settings, false);
}

std::vector<Condition> Grid::variants(const Panel& panel) const {
  return grouped(panel, {}, true);
}

}  // namespace lethe::analysis
