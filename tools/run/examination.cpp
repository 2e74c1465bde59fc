#include "tools/run/examination.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"

namespace lethe {
namespace {

const Measure* find(const std::vector<Measure>& measures, const std::string& name) {
  const auto found = std::ranges::find(measures, name, &Measure::name);
  return found == measures.end() ? nullptr : &*found;
}

void check_names(const char* option, const std::vector<std::string>& names,
                 const std::vector<Measure>& measures) {
  const Measure* first = nullptr;
  for (const std::string& name : names) {
    const Measure* found = find(measures, name);
    if (found == nullptr) {
      std::vector<std::string> known;
      for (const Measure& m : measures) known.push_back(m.name);
      throw ConfigError(option,
                        fmt::format("{} is not measured; these are: {}", name, fmt::join(known, ", ")));
    }
    if (first == nullptr) first = found;
    if (first->lower_is_better != found->lower_is_better) {
      throw ConfigError(option, fmt::format("{} and {} do not add up: one is in nats, the other a score",
                                            first->name, found->name));
    }
  }
}

}  // namespace

void Examinations::check(const std::vector<Measure>& measures) const {
  check_names("eval.learning", rules_.learning, measures);
  check_names("eval.forgetting", rules_.forgetting, measures);
}

std::optional<double> Examinations::change(const std::vector<std::string>& names,
                                           const std::vector<Measure>& now, bool for_the_better) const {
  if (names.empty()) return std::nullopt;
  double sum = 0;
  for (const std::string& name : names) {
    const Measure *before = find(base_, name), *after = find(now, name);
    const double rise = after->value - before->value;
    sum += after->lower_is_better == for_the_better ? -rise : rise;
  }
  return sum / static_cast<double>(names.size());
}

Examination Examinations::take(int64_t step, int64_t tokens, double seconds, std::vector<Measure> measures) {
  if (!begun()) {
    check(measures);
    base_ = measures;
  }
  seconds_ += seconds;
  longest_ = std::max(longest_, seconds);
  Examination made{.step = step,
                   .tokens = tokens,
                   .seconds = seconds,
                   .learned = change(rules_.learning, measures, true),
                   .forgotten = change(rules_.forgetting, measures, false)};
  made.measures = std::move(measures);
  made.stops =
      rules_.stop_when_forgotten > 0 && made.forgotten && *made.forgotten > rules_.stop_when_forgotten;
  made.best = made.learned && !made.stops && (!best_ || *made.learned > *best_);
  if (made.best) best_ = made.learned;
  return made;
}

bool Examinations::affordable(double trained, double to_come) const {
  if (rules_.max_share_of_time == 0) return true;
  const double then = seconds_ + 2 * longest_;
  return then <= rules_.max_share_of_time * (trained + to_come + then);
}

nlohmann::json Examinations::state() const {
  nlohmann::json base = nlohmann::json::array();
  for (const Measure& m : base_)
    base.push_back({{"name", m.name}, {"value", m.value}, {"lower_is_better", m.lower_is_better}});
  nlohmann::json made{{"base", base}, {"seconds", seconds_}, {"longest", longest_}, {"best", nullptr}};
  if (best_) made["best"] = *best_;
  return made;
}

void Examinations::restore(const nlohmann::json& state) {
  base_.clear();
  for (const nlohmann::json& m : state.at("base"))
    base_.push_back(
        {.name = m.at("name"), .value = m.at("value"), .lower_is_better = m.at("lower_is_better")});
  seconds_ = state.at("seconds");
  longest_ = state.at("longest");
  best_ = state.at("best").is_null() ? std::nullopt : std::optional<double>(state.at("best").get<double>());
  if (begun()) check(base_);
}

}  // namespace lethe
