// The report's figures, each drawn for a wide and for a narrow page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/report/outcome.h"
#include "tools/report/plot.h"

namespace lethe::report {

struct Figure {
  std::string name;  // of its files: "learning"
  std::string title;
  std::string caption;
  Drawing wide, narrow;
  bool full_width = false;  // takes a row of the page for itself
};

// How each run looks, the same in all figures: full fine-tuning first, then LoRA by rank, then the base.
struct Styled {
  Run run;
  Look look;
};
std::vector<Styled> styled_runs(const Results& results);

// Each returns nothing when the results hold nothing to draw.
std::optional<Figure> learning_figure(const Results& results);
std::optional<Figure> forgetting_figure(const Results& results);
std::optional<Figure> learning_accuracy_figure(const Results& results);
std::optional<Figure> forgetting_accuracy_figure(const Results& results);
std::optional<Figure> base_figure(const Results& results);
std::optional<Figure> plane_figure(const Results& results);
std::optional<Figure> spectrum_figure(const Results& results);
std::optional<Figure> median_spectrum_figure(const Results& results);
std::optional<Figure> rank_figure(const Results& results);
std::optional<Figure> sweep_figure(const Results& results);

// All that there is something to draw for, in the page's order.
std::vector<Figure> figures_of(const Results& results);

// The figure drawn by `draw` for both sizes. `wide` and `narrow` heights in pixels.
template <class Draw>
Figure figure_of(std::string name, std::string title, std::string caption, const Draw& draw,
                 Canvas wide = {660, 400}, Canvas narrow = {360, 330}) {
  return {std::move(name), std::move(title), std::move(caption), draw(wide), draw(narrow), false};
}

}  // namespace lethe::report
