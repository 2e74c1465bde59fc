#include "tools/report/style.h"

#include <fmt/format.h>

#include <array>
#include <vector>

namespace lethe::report {
namespace {

struct Color {
  const char *name, *light, *dark;
};

// c0 vermillion, c1 blue, c2 bluish green, c3 reddish purple, c4 orange, c5 sky blue, c6 a darkened yellow.
constexpr std::array<Color, 20> colors{
    {{"paper", "#ffffff", "#14171c"}, {"panel", "#f6f7f9", "#1d2127"}, {"ink", "#1b1f24", "#e8eaed"},
     {"muted", "#59636e", "#9aa4b0"}, {"grid", "#e4e7eb", "#2c323a"},  {"rule", "#b4bcc6", "#525c68"},
     {"c0", "#d55e00", "#ff8436"},    {"c1", "#0072b2", "#4fa9e6"},    {"c2", "#009e73", "#2cc99a"},
     {"c3", "#b3598c", "#e79ac6"},    {"c4", "#e69f00", "#f3b83e"},    {"c5", "#56b4e9", "#9bd6f8"},
     {"c6", "#a39a12", "#e9df5b"},    {"cb", "#6b7580", "#a5afba"},    {"s0", "#9ecae1", "#2b4a66"},
     {"s1", "#6baed6", "#356f9f"},    {"s2", "#4292c6", "#4a93cf"},    {"s3", "#2171b5", "#7db7e6"},
     {"s4", "#08306b", "#cfe6f9"},    {"accent", "#0072b2", "#4fa9e6"}}};

std::string color(Theme theme, const std::string& name) {
  if (theme == Theme::variables) return "var(--" + name + ")";
  for (const Color& entry : colors) {
    if (name == entry.name) return entry.light;
  }
  return "#000000";
}

}  // namespace

std::string figure_css(Theme theme) {
  const auto of = [&](const char* name) { return color(theme, name); };
  std::string css = fmt::format(
      "text{{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,\"Liberation "
      "Sans\","
      "\"DejaVu Sans\",sans-serif;font-size:{}px;fill:{}}}\n",
      font_size, of("ink"));
  css += fmt::format(".paper{{fill:{}}}\n.title{{font-size:15px;font-weight:600}}\n", of("paper"));
  css += fmt::format(".tick,.axis-title,.note{{fill:{}}}\n.panel-title{{font-weight:600}}\n", of("muted"));
  css += fmt::format(".grid{{stroke:{};stroke-width:1}}\n.axis{{stroke:{};stroke-width:1}}\n", of("grid"),
                     of("rule"));
  css += fmt::format(".leader{{stroke:{};stroke-width:1}}\n", of("rule"));
  css += ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n";
  css += ".thin{stroke-width:1.5}\n.dashed{stroke-dasharray:6 4}\n.dotted{stroke-dasharray:1.5 4}\n";
  css += ".ring{fill:none;stroke-width:2}\n.cross{fill:none;stroke-width:2.2;stroke-linecap:round}\n";
  css += fmt::format(".mark{{stroke:{};stroke-width:1}}\n", of("paper"));
  std::vector<std::string> names{"cb"};
  for (int i = 0; i < data_colors; ++i) names.push_back(fmt::format("c{}", i));
  for (int i = 0; i < shade_colors; ++i) names.push_back(fmt::format("s{}", i));
  for (const std::string& name : names) {
    css += fmt::format(".line.{0},.ring.{0},.cross.{0}{{stroke:{1}}}.mark.{0}{{fill:{1}}}\n", name,
                       color(theme, name));
  }
  return css;
}

std::string color_variables(bool dark) {
  std::string css;
  for (const Color& entry : colors)
    css += fmt::format("--{}:{};", entry.name, dark ? entry.dark : entry.light);
  return css;
}

}  // namespace lethe::report
