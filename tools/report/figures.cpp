#include "tools/report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/report/style.h"

namespace lethe::report {

std::vector<Styled> styled_runs(const Results& results) {
  std::vector<Styled> styled;
  for (const Run& run : results.runs) {
    if (run.method != Method::base) styled.push_back({run, {}});
  }
  std::stable_sort(styled.begin(), styled.end(), [](const Styled& a, const Styled& b) {
    if (a.run.method != b.run.method) return a.run.method == Method::full;
    return a.run.rank < b.run.rank;
  });
  constexpr std::array markers{Marker::circle, Marker::square, Marker::triangle, Marker::diamond};
  int fulls = 0, others = 0;
  for (Styled& one : styled) {
    const bool first_full = one.run.method == Method::full && fulls++ == 0;
    const int index = first_full ? 0 : 1 + others++;
    one.look.label = one.run.label;
    one.look.color = fmt::format("c{}", first_full ? 0 : 1 + (index - 1) % (data_colors - 1));
    one.look.marker = markers[static_cast<size_t>(index) % markers.size()];
    one.look.dashed = index >= data_colors;  // the colours come round again
  }
  return styled;
}

std::vector<Figure> figures_of(const Results& results) {
  std::vector<Figure> figures;
  for (const auto draw : {learning_figure, forgetting_figure, plane_figure, learning_accuracy_figure,
                          forgetting_accuracy_figure, median_spectrum_figure, spectrum_figure, rank_figure,
                          sweep_figure, base_figure}) {
    if (auto figure = draw(results)) figures.push_back(std::move(*figure));
  }
  return figures;
}

}  // namespace lethe::report
