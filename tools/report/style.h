// Colours and type. The data's colours are Okabe and Ito's, which people of every colour vision tell apart
// ("Color Universal Design", 2008), in a lighter shade of each where the paper is dark.
#pragma once

#include <string>

namespace lethe::report {

enum class Theme { light, variables };

// Rules for the classes that figures use: with the light colours themselves, or with the page's variables.
std::string figure_css(Theme theme);

// `--name: colour` declarations of all variables, light or dark.
std::string color_variables(bool dark);

// How many data colours there are: classes c0 (full fine-tuning), c1 ... for LoRA by rank. Beside them "cb"
// for the base.
constexpr int data_colors = 7;
// One hue from light to dark, for what has an order: classes s0 ... s4.
constexpr int shade_colors = 5;

constexpr double font_size = 12;

}  // namespace lethe::report
