#include "tools/analysis/setting.h"

#include <fmt/format.h>

#include <cmath>

namespace lethe::analysis {

bool applies(Setting setting, const Run& run) {
  if (setting == Setting::alpha && run.method == "rslora") return false;
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

}  // namespace lethe::analysis
