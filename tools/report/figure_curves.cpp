// Held-out scores against the tokens trained on: learning, forgetting, their accuracy versions, the base.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/figures.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

struct Quantity {
  const char* noun;
  const char* axis;
  double (*of)(const Point&);
  int decimals;
};

constexpr Quantity loss{"loss", "Held-out loss (nats per token)", [](const Point& p) { return p.loss; }, 3};
constexpr Quantity accuracy{"accuracy", "Next-token accuracy (%)",
                            [](const Point& p) { return 100 * p.accuracy; }, 1};

Series series_of(const std::vector<Point>& points, const Look& look, const Quantity& quantity) {
  Series series{.look = look};
  for (const Point& point : points) {
    series.values.push_back({point.tokens, quantity.of(point)});
    series.tips.push_back(fmt::format("{}: {} {} after {} tokens", look.label, quantity.noun,
                                      fixed(quantity.of(point), quantity.decimals),
                                      grouped(static_cast<int64_t>(point.tokens))));
  }
  return series;
}

// A run that exploded must not press all others into one line: beyond three times the middle value the scale
// ends and a cross says so.
std::vector<double> sensible(const std::vector<Series>& series) {
  std::vector<double> values;
  for (const Series& one : series) {
    for (const Place& place : one.values) {
      if (std::isfinite(place.y)) values.push_back(place.y);
    }
  }
  const double limit = 3 * median(values);
  std::erase_if(values, [&](double value) { return value > limit; });
  return values;
}

double most_tokens(const std::vector<Series>& series) {
  double most = 0;
  for (const Series& one : series) {
    for (const Place& place : one.values) most = std::max(most, place.x);
  }
  return most;
}

Drawing curves(Canvas canvas, const std::vector<Series>& series, const Quantity& quantity,
               const std::vector<Guide>& guides, const char* tokens_of) {
  const Axis x = token_axis(tokens_of, most_tokens(series), canvas.narrow() ? 4 : 7);
  std::vector<double> values = sensible(series);
  for (const Guide& guide : guides) {
    if (std::isfinite(guide.y)) values.push_back(guide.y);
  }
  return line_figure(canvas, x, axis_over(quantity.axis, Scale::linear, values, 6), series, guides);
}

std::optional<Figure> curve_figure(const Results& results, bool on_target, const Quantity& quantity,
                                   const char* name, const char* title, const std::string& caption) {
  std::vector<Series> series;
  double base = unknown;
  for (const Styled& styled : styled_runs(results)) {
    const std::vector<Point> points = results.points_of(styled.run.name, on_target);
    if (points.empty()) continue;
    if (std::isnan(base) && points.front().step == 0) base = quantity.of(points.front());
    series.push_back(series_of(points, styled.look, quantity));
  }
  if (series.empty()) return std::nullopt;
  const std::vector<Guide> guides{{base, fmt::format("base {}", fixed(base, quantity.decimals))}};
  return figure_of(name, title, caption, [&](Canvas canvas) {
    return curves(canvas, series, quantity, guides, "Tokens trained on");
  });
}

std::string on(const Corpus& corpus, const char* what) {
  return fmt::format("{} on held-out text of {} ({}), after every evaluation.", what, corpus.name,
                     corpus.description);
}

}  // namespace

std::optional<Figure> learning_figure(const Results& results) {
  return curve_figure(results, true, loss, "learning", "Learning: loss on the new domain",
                      on(results.study.target, "Loss") + " Lower is better.");
}

std::optional<Figure> forgetting_figure(const Results& results) {
  return curve_figure(results, false, loss, "forgetting", "Forgetting: loss on the old domain",
                      on(results.study.source, "Loss") + " What rises above the dashed line is forgotten.");
}

std::optional<Figure> learning_accuracy_figure(const Results& results) {
  return curve_figure(results, true, accuracy, "learning_accuracy", "Learning: accuracy on the new domain",
                      on(results.study.target, "Share of next tokens that the model puts first,"));
}

std::optional<Figure> forgetting_accuracy_figure(const Results& results) {
  return curve_figure(results, false, accuracy, "forgetting_accuracy",
                      "Forgetting: accuracy on the old domain",
                      on(results.study.source, "Share of next tokens that the model puts first,"));
}

std::optional<Figure> base_figure(const Results& results) {
  const std::vector<Point> source = results.points_of("base", false),
                           target = results.points_of("base", true);
  if (source.size() + target.size() < 3) return std::nullopt;
  const Study& study = results.study;
  const std::vector<Series> series{
      series_of(source, {.label = study.source.name, .color = "c1", .marker = Marker::square}, loss),
      series_of(target, {.label = study.target.name, .color = "c0"}, loss)};
  const auto guide = [](const Corpus& corpus, const char* color, bool short_of_room) {
    return Guide{corpus.unigram_entropy,
                 fmt::format("unigram entropy{}{}: {}", short_of_room ? "" : ", ",
                             short_of_room ? "" : corpus.name, fixed(corpus.unigram_entropy, 2)),
                 fmt::format("line {} thin dotted", color)};
  };
  return figure_of(
      "base", "Pretraining of the base",
      "Held-out loss on both domains while the base was trained, beside the entropy of the tokens' "
      "frequencies (dotted, in the domain's colour): what a model would score that knew nothing of context.",
      [&](Canvas canvas) {
        const std::vector<Guide> guides{guide(study.source, "c1", canvas.narrow()),
                                        guide(study.target, "c0", canvas.narrow())};
        return curves(canvas, series, loss, guides, "Tokens of pretraining");
      });
}

}  // namespace lethe::report
