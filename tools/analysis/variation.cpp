// What one setting does: regularisation, target modules, alpha, LoRA's variants, what lessens forgetting, and
// the base. Each condition beside the same method with the usual setting, at one duration.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"

namespace lethe::analysis {
namespace {

struct Varied {
  Condition condition;
  Cell at;
  const Condition* usual = nullptr;  // what it is compared with; nullptr: it is the usual one
};

struct Variation {
  const Panel* panel = nullptr;
  double duration = unknown;
  std::vector<Condition> usual;
  std::vector<Varied> rows;
};

bool same_method(const Condition& a, const Condition& b) {
  return a.like->method == b.like->method && a.like->rank == b.like->rank;
}

// The duration at which most of the varied conditions were run; of several the longest.
double duration_for(const Grid& grid, const Panel& panel, const std::vector<Condition>& varied) {
  std::map<double, size_t> count;
  for (const Condition& c : varied)
    for (const Cell& at : grid.cells(panel, c)) ++count[at.duration];
  double best = unknown;
  size_t most = 1;
  for (const auto& [duration, conditions] : count)
    if (conditions >= most) best = duration, most = conditions;
  return best;
}

// For LoRA's variants "usual" is LoRA of the same rank.
const Condition* usual_for(const Condition& varied, const std::vector<Condition>& usual) {
  for (const Condition& u : usual)
    if (same_method(u, varied)) return &u;
  for (const Condition& u : usual)
    if (u.like->method == "lora" && u.like->rank == varied.like->rank) return &u;
  return nullptr;
}

Variation variation_of(const Grid& grid, const Panel& panel, const std::vector<Condition>& candidates) {
  Variation found{.panel = &panel, .usual = grid.main_conditions(panel)};
  std::vector<Condition> varied;
  for (const Condition& c : candidates) {
    const bool is_usual = std::any_of(found.usual.begin(), found.usual.end(),
                                      [&](const Condition& u) { return u.like == c.like; });
    if (!is_usual) varied.push_back(c);
  }
  found.duration = duration_for(grid, panel, varied);
  std::vector<Condition> all = found.usual;
  all.insert(all.end(), varied.begin(), varied.end());
  give_looks(all);
  for (const Condition& c : all) {
    for (const Cell& at : grid.cells(panel, c)) {
      if (at.duration != found.duration) continue;
      const bool known = estimate_of(grid.gains(at, panel.learning.front())).known() ||
                         estimate_of(grid.gains(at, panel.forgetting.front())).known();
      if (known) found.rows.push_back({.condition = c, .at = at});
    }
  }
  return found;
}

// Points each row at the usual one it is compared with, where that was run at the same duration.
void pair_up(Variation& v, bool keep_usual) {
  for (Varied& row : v.rows) {
    const Condition* const usual = usual_for(row.condition, v.usual);
    const bool there = usual && std::any_of(v.rows.begin(), v.rows.end(), [&](const Varied& other) {
                         return other.condition.like == usual->like;
                       });
    row.usual = there && usual->like != row.condition.like ? usual : nullptr;
  }
  if (keep_usual) return;
  // Usual conditions that nothing is compared with are out of place, but for full fine-tuning.
  std::erase_if(v.rows, [&](const Varied& row) {
    const bool is_usual = std::any_of(v.usual.begin(), v.usual.end(),
                                      [&](const Condition& u) { return u.like == row.condition.like; });
    if (!is_usual || row.condition.like->is_full()) return false;
    return std::none_of(v.rows.begin(), v.rows.end(), [&](const Varied& other) {
      return other.usual && other.usual->like == row.condition.like;
    });
  });
}

Estimate difference_in(const Grid& grid, const Variation& v, const Varied& row, const Measure& measure) {
  for (const Varied& other : v.rows) {
    if (row.usual && other.condition.like == row.usual->like)
      return difference(grid.gains(row.at, measure), grid.gains(other.at, measure));
  }
  return {};
}

void add_words(const Grid& grid, const Variation& v, std::string& words) {
  const Measure &learning = v.panel->learning.front(), &forgetting = v.panel->forgetting.front();
  words +=
      fmt::format("{} after {}, with 95% intervals: ", v.panel->name(), duration_words(*v.panel, v.duration));
  bool first = true;
  for (const Varied& row : v.rows) {
    if (!row.usual) continue;
    const Estimate learned = difference_in(grid, v, row, learning),
                   forgotten = difference_in(grid, v, row, forgetting);
    words += fmt::format("{}{} against {}: learned {} more, forgot {} more", first ? "" : "; ",
                         row.condition.label, row.usual->label, with_interval(learned, 3, learning.unit()),
                         with_interval(forgotten, 3, forgetting.unit()));
    first = false;
  }
  words += ". ";
}

void add_rows(const Grid& grid, const Variation& v, std::vector<Row>& rows, Table& table) {
  const Measure &learning = v.panel->learning.front(), &forgetting = v.panel->forgetting.front();
  for (const Varied& row : v.rows) {
    const Estimate learned = estimate_of(grid.gains(row.at, learning)),
                   forgotten = estimate_of(grid.gains(row.at, forgetting));
    rows.push_back({.group = fmt::format("{}, {}", v.panel->name(), duration_words(*v.panel, v.duration)),
                    .label = row.condition.label,
                    .look = row.condition.look,
                    .cells = {scaled(learned, learning.unit()), scaled(forgotten, forgetting.unit())},
                    .note = fmt::format("LR {:g}", row.at.learning_rate)});
    std::vector<std::string> line{v.panel->family,           v.panel->target,
                                  row.condition.label,       row.usual ? row.usual->label : "",
                                  cell(v.duration),          v.panel->by_epochs ? "epochs" : "tokens",
                                  cell(row.at.learning_rate)};
    add_estimate(line, learned);
    add_estimate(line, forgotten);
    add_estimate(line, difference_in(grid, v, row, learning));
    add_estimate(line, difference_in(grid, v, row, forgetting));
    table.rows.push_back(std::move(line));
  }
}

// What the panels of one figure are measured in.
class Units {
 public:
  void add(const Panel& panel) {
    learning_.insert(panel.learning.front().is_loss());
    forgetting_.insert(panel.forgetting.front().is_loss());
  }
  std::string learned() const { return words(learning_); }
  std::string forgotten() const { return words(forgetting_); }

 private:
  static std::string words(const std::set<bool>& losses) {
    if (losses.size() > 1) return "losses in nats per token, accuracies in points";
    return losses.contains(true) ? "nats per token" : "points";
  }
  std::set<bool> learning_, forgetting_;
};

using Candidates = std::vector<Condition> (*)(const Grid&, const Panel&);

Analysis analysis_of(const Grid& grid, const char* name, const char* title, Candidates candidates,
                     const char* intro, const char* missing, bool keep_usual = false) {
  Analysis found{.name = name, .title = title};
  found.table.columns = {"family",   "target", "condition",    "compared_with",
                         "duration", "unit",   "learning_rate"};
  for (const char* column : {"learned", "forgotten", "learned_more", "forgotten_more"})
    add_estimate_columns(found.table.columns, column);
  std::vector<Row> rows;
  std::string words;
  Units units;
  for (const Panel& panel : grid.panels()) {
    Variation v = variation_of(grid, panel, candidates(grid, panel));
    pair_up(v, keep_usual);
    if (std::none_of(v.rows.begin(), v.rows.end(), [](const Varied& row) { return row.usual; })) continue;
    units.add(panel);
    add_words(grid, v, words);
    add_rows(grid, v, rows, found.table);
  }
  found.words = rows.empty() ? missing : intro + words;
  if (!rows.empty())
    found.figure = forest(rows, {{"Learned since the base (" + units.learned() + ")", 0},
                                 {"Forgotten since the base (" + units.forgotten() + ")", 0}});
  return found;
}

template <Setting... settings>
std::vector<Condition> along(const Grid& grid, const Panel& panel) {
  std::vector<Condition> all;
  for (const Setting axis : {settings...}) {
    const std::vector<Condition> own = grid.conditions_along(panel, {axis});
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

}  // namespace

Analysis regularisation_analysis(const Grid& grid) {
  return analysis_of(grid, "regularisation", "LoRA against weight decay and attention dropout",
                     along<Setting::weight_decay, Setting::attention_dropout>,
                     "What regularising full fine-tuning does beside what LoRA does. ",
                     "No run of the file varies weight decay or attention dropout.", true);
}

Analysis modules_analysis(const Grid& grid) {
  return analysis_of(grid, "modules", "Target modules", along<Setting::modules>,
                     "LoRA on the attention's maps, on the MLP's, and on all. ",
                     "No run of the file varies LoRA's target modules.");
}

Analysis alpha_analysis(const Grid& grid) {
  return analysis_of(
      grid, "alpha", "Rank and alpha", along<Setting::alpha>,
      "LoRA's update is scaled by alpha / r; each row at the best learning rate that was tried. ",
      "No run of the file varies alpha.");
}

Analysis variants_analysis(const Grid& grid) {
  return analysis_of(
      grid, "variants", "Variants of LoRA", [](const Grid& g, const Panel& p) { return g.variants(p); },
      "Each variant beside LoRA of the same rank. ",
      "No run of the file uses a variant of LoRA (rsLoRA, LoRA+, DoRA, PiSSA).");
}

Analysis mitigation_analysis(const Grid& grid) {
  return analysis_of(grid, "mitigation", "Replay and scaling the update",
                     along<Setting::replay, Setting::scale>,
                     "Two means against forgetting that need no adapter: the old domain's tokens mixed into "
                     "training, and the update scaled after it. ",
                     "No run of the file mixes old text in or scales its update.");
}

Analysis base_analysis(const Grid& grid) {
  return analysis_of(
      grid, "base", "The base: how long it was trained, and on what",
      [](const Grid& g, const Panel& p) {
        return g.conditions_along(p, {Setting::base_tokens, Setting::base_target_share});
      },
      "The same fine-tuning from bases that saw more tokens, or another share of the new domain. ",
      "No run of the file varies the base.");
}

}  // namespace lethe::analysis
