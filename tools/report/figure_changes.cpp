#include "tools/report/figure_changes.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/report/plot.h"

namespace lethe::report {
namespace {

constexpr double kWidth = 660, kPanel = 190, kLeft = 74, kRight = 110, kTop = 12, kGap = 58;

using Value = std::optional<double> ChangePoint::*;

// Draws one panel below `top` if there is anything for it; returns the height used.
double draw_panel(Svg& svg, const std::vector<ChangePoint>& points, Value value, const Look& look,
                  double top) {
  Series series{.look = look};
  std::vector<double> steps{0}, values{0};
  for (const ChangePoint& p : points) {
    if (!(p.*value)) continue;
    series.values.push_back({p.step, *(p.*value)});
    series.tips.push_back(fmt::format("step {:.0f}: {} {:+.4f}", p.step, look.label, *(p.*value)));
    steps.push_back(p.step);
    values.push_back(*(p.*value));
  }
  if (series.values.empty()) return 0;
  const Frame frame({kLeft, top, kWidth - kRight, top + kPanel}, axis_over("Step", Scale::linear, steps, 8),
                    axis_over("Since the base", Scale::linear, values, 6));
  frame.draw(svg);
  frame.draw(svg, Guide{.y = 0, .words = ""});
  frame.draw(svg, series);
  frame.draw_end_labels(svg, {series});
  return kPanel + kGap;
}

}  // namespace

std::vector<ChangePoint> changes_in(const std::string& metrics_path) {
  std::ifstream file(metrics_path, std::ios::binary);
  if (!file) throw IoError(metrics_path, "cannot be opened");
  std::vector<ChangePoint> found;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
    if (!object.is_object()) throw FormatError(metrics_path, fmt::format("line {}", number), "is not JSON");
    if (object.value("kind", "") != "examination") continue;
    ChangePoint point{.step = object.value("step", 0.0)};
    const auto take = [&](const char* key, std::optional<double>& into) {
      if (object.contains(key) && object.at(key).is_number()) into = object.at(key).get<double>();
    };
    take("learned", point.learned);
    take("forgotten", point.forgotten);
    found.push_back(point);
  }
  return found;
}

std::string changes_svg(const std::vector<ChangePoint>& points) {
  Svg svg;
  double top = kTop;
  top += draw_panel(svg, points, &ChangePoint::learned, {.label = "learned", .color = "c1"}, top);
  top += draw_panel(svg, points, &ChangePoint::forgotten,
                    {.label = "forgotten", .color = "c0", .marker = Marker::square}, top);
  return standalone_svg({kWidth, top, svg.body()}, "Learned and forgotten");
}

}  // namespace lethe::report
