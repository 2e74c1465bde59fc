// The rank that holds 90% of the change's variance: a panel a module, across the layers.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tools/report/figures.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

// Modules in the order they have in a block; others after them by name.
std::vector<std::string> modules_of(const Results& results) {
  static const std::vector<std::string> usual{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};
  std::vector<std::string> found;
  for (const Spectrum& spectrum : results.spectra) {
    if (spectrum.layer >= 0 && std::find(found.begin(), found.end(), spectrum.module) == found.end()) {
      found.push_back(spectrum.module);
    }
  }
  const auto position = [&](const std::string& name) {
    return std::find(usual.begin(), usual.end(), name) - usual.begin();
  };
  std::sort(found.begin(), found.end(), [&](const std::string& a, const std::string& b) {
    return std::make_pair(position(a), a) < std::make_pair(position(b), b);
  });
  return found;
}

Series series_of(const Results& results, const Styled& styled, const std::string& module) {
  std::map<int64_t, int64_t> by_layer;
  for (const Spectrum& spectrum : results.spectra) {
    const bool wanted = spectrum.run == styled.run.name && spectrum.module == module && spectrum.layer >= 0;
    if (wanted && spectrum.rank90 > 0) by_layer[spectrum.layer] = spectrum.rank90;
  }
  Series series{.look = styled.look};
  for (const auto& [layer, rank] : by_layer) {
    series.values.push_back({static_cast<double>(layer), static_cast<double>(rank)});
    series.tips.push_back(
        fmt::format("{}, {} of layer {}: rank {} holds 90%", styled.look.label, module, layer, rank));
  }
  return series;
}

struct Shared {
  Axis x, y;
};

Shared axes_of(const Results& results, int max_layer_ticks) {
  double last_layer = 0;
  std::vector<double> ranks{1};
  for (const Spectrum& spectrum : results.spectra) {
    if (spectrum.layer < 0) continue;
    last_layer = std::max(last_layer, static_cast<double>(spectrum.layer));
    if (spectrum.rank90 > 0) ranks.push_back(static_cast<double>(spectrum.rank90));
  }
  Axis x{.title = "", .range = {-0.4, last_layer + 0.4}};
  for (const Tick& tick : linear_ticks({0, std::max(last_layer, 0.5)}, max_layer_ticks)) {
    if (tick.value == static_cast<double>(static_cast<int64_t>(tick.value))) {
      x.ticks.push_back({tick.value, grouped(static_cast<int64_t>(tick.value))});
    }
  }
  return {x, axis_over("", Scale::logarithmic, ranks, 7)};
}

Drawing draw(Canvas canvas, const Results& results) {
  const std::vector<std::string> modules = modules_of(results);
  const std::vector<Styled> runs = styled_runs(results);
  const int columns = std::min(static_cast<int>(modules.size()), canvas.narrow() ? 2 : 4);
  const int rows = (static_cast<int>(modules.size()) + columns - 1) / columns;
  const Shared axes = axes_of(results, canvas.narrow() ? 4 : 8);
  std::vector<Look> looks;
  for (const Styled& styled : runs) looks.push_back(styled.look);
  Svg svg;
  const double left = 58, gap_x = 18, gap_y = 46, bottom = 46;
  const double top = 14 + draw_legend(svg, looks, {left, 16}, canvas.width - left - 12) + 16;
  const double width = (canvas.width - left - 14 - gap_x * (columns - 1)) / columns;
  const double height = (canvas.height - top - bottom - gap_y * (rows - 1)) / rows;
  for (int i = 0; i < static_cast<int>(modules.size()); ++i) {
    const double x = left + i % columns * (width + gap_x), y = top + i / columns * (height + gap_y);
    const Frame frame({x, y, x + width, y + height}, axes.x, axes.y);
    frame.draw(svg, true, i % columns == 0);
    svg.text({x + 2, y - 7}, Anchor::start, "panel-title", modules[static_cast<size_t>(i)]);
    for (const Styled& styled : runs)
      frame.draw(svg, series_of(results, styled, modules[static_cast<size_t>(i)]));
  }
  svg.text({(left + canvas.width) / 2, canvas.height - 9}, Anchor::middle, "axis-title", "Layer");
  svg.vertical_text({16, (top + canvas.height - bottom) / 2}, "axis-title", "Rank for 90% of the variance");
  return {canvas.width, canvas.height, svg.body()};
}

}  // namespace

std::optional<Figure> rank_figure(const Results& results) {
  if (modules_of(results).empty()) return std::nullopt;
  const int rows_narrow = (static_cast<int>(modules_of(results).size()) + 1) / 2;
  const int rows_wide = (static_cast<int>(modules_of(results).size()) + 3) / 4;
  Figure figure = figure_of("rank", "How many directions each change takes",
                            "The least number of singular values that hold 90% of the variance of tuned − "
                            "base, for each matrix of each layer. "
                            "LoRA cannot pass its rank.",
                            [&](Canvas canvas) { return draw(canvas, results); },
                            {1340, 110.0 + 210 * rows_wide}, {360, 120.0 + 160 * rows_narrow});
  figure.full_width = true;
  return figure;
}

}  // namespace lethe::report
