// Singular values of the change of the weights, relative to the largest.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/figures.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

// Below this share of the largest a singular value of float weights is rounding, not change.
constexpr double floor_of_sense = 1e-6;

std::vector<double> relative(const Spectrum& spectrum) {
  std::vector<double> values;
  for (const double value : spectrum.singular_values) {
    if (!(value > floor_of_sense * spectrum.singular_values.front())) break;
    values.push_back(value / spectrum.singular_values.front());
  }
  return values;
}

Series series_of(const Look& look, const std::vector<double>& values) {
  Series series{.look = look, .markers = false};
  for (size_t k = 0; k < values.size(); ++k) series.values.push_back({static_cast<double>(k + 1), values[k]});
  return series;
}

// The tensor of the blocks, changed by all runs, whose rank90 is the middle one in the first run.
std::string representative(const Results& results, const std::vector<Styled>& runs) {
  std::map<std::string, size_t> seen;
  for (const Spectrum& spectrum : results.spectra) seen[spectrum.tensor] += 1;
  size_t most = 0;
  for (const auto& [tensor, count] : seen) most = std::max(most, count);
  for (const Styled& styled : runs) {
    std::vector<const Spectrum*> candidates;
    for (const Spectrum& spectrum : results.spectra) {
      if (spectrum.run == styled.run.name && spectrum.layer >= 0 && seen[spectrum.tensor] == most) {
        candidates.push_back(&spectrum);
      }
    }
    if (candidates.empty()) continue;
    const auto middle = candidates.begin() + static_cast<std::ptrdiff_t>(candidates.size() / 2);
    std::nth_element(candidates.begin(), middle, candidates.end(), [](const Spectrum* a, const Spectrum* b) {
      return std::tie(a->rank90, a->tensor) < std::tie(b->rank90, b->tensor);
    });
    return (*middle)->tensor;
  }
  return "";
}

// At each place k the median over the run's tensors; a matrix too small to have a k-th value counts as zero
// there, so that the line never rises. It ends where the median is zero.
std::vector<double> median_spectrum(const Results& results, const std::string& run) {
  std::vector<std::vector<double>> all;
  for (const Spectrum& spectrum : results.spectra) {
    if (spectrum.run == run && spectrum.layer >= 0) all.push_back(relative(spectrum));
  }
  std::vector<double> medians;
  for (size_t k = 0;; ++k) {
    std::vector<double> values;
    for (const auto& one : all) values.push_back(k < one.size() ? one[k] : 0);
    const double middle = median(values);
    if (!(middle > 0)) return medians;
    medians.push_back(middle);
  }
}

// A LoRA change has no more than `rank` directions: the line falls to the floor there.
void draw_cut(Svg& svg, const Frame& frame, const Series& series, double most) {
  if (series.values.empty() || series.values.back().x >= most) return;
  const Place end = frame.place(series.values.back());
  svg.line(end, {end.x, frame.box().bottom}, "line thin dotted " + series.look.color);
}

Drawing draw(Canvas canvas, const std::vector<Series>& all) {
  double most = 2, least = 1;
  for (const Series& series : all) {
    if (series.values.empty()) continue;
    most = std::max(most, series.values.back().x);
    least = std::min(least, series.values.back().y);
  }
  Axis x{"Index of the singular value",
         Scale::logarithmic,
         {1, most},
         log_ticks({1, most}, canvas.narrow() ? 5 : 9)};
  const Axis y = axis_over("Singular value ÷ largest", Scale::logarithmic, {least, 1}, 7);
  const Box box{68, 32, canvas.width - 18, canvas.height - 46};
  std::vector<Look> looks;
  for (const Series& series : all) looks.push_back(series.look);
  Svg svg;
  const double legend = draw_legend(svg, looks, {box.left, 16}, box.right - box.left);
  const Frame frame({box.left, 12 + legend, box.right, box.bottom}, x, y);
  frame.draw(svg);
  for (const Series& series : all) {
    frame.draw(svg, series);
    draw_cut(svg, frame, series, most);
  }
  return {canvas.width, canvas.height, svg.body()};
}

std::optional<Figure> figure(const std::vector<Series>& all, const char* name, const char* title,
                             const std::string& caption) {
  if (all.empty()) return std::nullopt;
  return figure_of(name, title, caption, [&](Canvas canvas) { return draw(canvas, all); });
}

}  // namespace

std::optional<Figure> spectrum_figure(const Results& results) {
  const std::vector<Styled> runs = styled_runs(results);
  const std::string tensor = representative(results, runs);
  std::vector<Series> all;
  for (const Styled& styled : runs) {
    for (const Spectrum& spectrum : results.spectra) {
      const bool wanted = spectrum.run == styled.run.name && spectrum.tensor == tensor;
      if (wanted && !relative(spectrum).empty()) all.push_back(series_of(styled.look, relative(spectrum)));
    }
  }
  return figure(
      all, "spectrum", "One matrix's change",
      fmt::format("Singular values of tuned − base for {}, the matrix whose rank for 90% of the variance is "
                  "the middle one. A dotted fall: there are no more directions.",
                  tensor));
}

std::optional<Figure> median_spectrum_figure(const Results& results) {
  std::vector<Series> all;
  for (const Styled& styled : styled_runs(results)) {
    const std::vector<double> values = median_spectrum(results, styled.run.name);
    if (!values.empty()) all.push_back(series_of(styled.look, values));
  }
  return figure(all, "spectra", "Spectra of the change",
                "Singular values of tuned − base, each divided by the matrix's largest, median over all "
                "matrices of the "
                "blocks. A LoRA change ends at its rank, where the dotted line falls.");
}

}  // namespace lethe::report
