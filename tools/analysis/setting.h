// What the runs of a study are set to, beside what is compared.
#pragma once

#include <array>
#include <string>

#include "tools/analysis/records.h"

namespace lethe::analysis {

// What runs of one panel differ in beside method, rank, learning rate, duration and seed.
enum class Setting {
  modules,
  alpha,  // alpha / rank
  weight_decay,
  attention_dropout,
  replay,
  scale,
  width,
  base_tokens,
  base_target_share
};

// The value of a run in a setting as text: "all", "2", "0.05".
std::string text_on(Setting setting, const Run& run);

// Each of them, width first: what is usual otherwise is asked of the usual width alone.
inline constexpr std::array kSettings{
    Setting::width,        Setting::modules,           Setting::alpha,
    Setting::weight_decay, Setting::attention_dropout, Setting::replay,
    Setting::scale,        Setting::base_tokens,       Setting::base_target_share};

// Full fine-tuning has neither modules nor alpha, and rsLoRA's alpha is scaled otherwise.
bool applies(Setting setting, const Run& run);

// What stands before a value: "weight decay ".
const char* words_of(Setting setting);

}  // namespace lethe::analysis
