#include <fmt/format.h>

#include <cmath>

#include "tools/report/html.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

std::string cell(const std::string& text) {
  return fmt::format("<td>{}</td>", text);
}

std::string percent(double share) {
  return std::isfinite(share) ? fixed(100 * share, 1) + "%" : "–";
}

// "2.310 → 1.250"; only the first for a run whose end is unknown.
std::string change(const std::string& before, const std::string& after) {
  return cell(before + " <span class=\"arrow\">→</span> " + after);
}

std::string row(const Outcome& outcome) {
  const Run& run = outcome.run;
  std::string html = fmt::format("<tr><th scope=\"row\">{}{}</th>", escape(run.label),
                                 outcome.diverged ? " <em>diverged</em>" : "");
  html += cell(run.rank > 0 ? grouped(run.rank) : "–");
  html += cell(scientific(run.learning_rate));
  html += cell(grouped(run.trainable_parameters));
  html += change(fixed(outcome.target_before.loss, 3), fixed(outcome.target_after.loss, 3));
  html += cell(signed_fixed(outcome.learned(), 3));
  html += change(fixed(outcome.source_before.loss, 3), fixed(outcome.source_after.loss, 3));
  html += cell(signed_fixed(outcome.forgot(), 3));
  html += change(percent(outcome.target_before.accuracy), percent(outcome.target_after.accuracy));
  html += change(percent(outcome.source_before.accuracy), percent(outcome.source_after.accuracy));
  html += cell(fixed(outcome.rank90, 0));
  html += cell(fixed(run.tokens_per_second, 0));
  html += cell(duration(run.seconds));
  return html + "</tr>\n";
}

}  // namespace

std::string runs_table(const std::vector<Outcome>& outcomes) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of runs\"><table "
      "class=\"numbers\">\n"
      "<thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Rank</th><th scope=\"col\">Learning rate</th>"
      "<th scope=\"col\">Trained parameters</th><th scope=\"col\">Target loss, before → after</th>"
      "<th scope=\"col\">Learned</th><th scope=\"col\">Source loss, before → after</th><th "
      "scope=\"col\">Forgot</th>"
      "<th scope=\"col\">Target accuracy</th><th scope=\"col\">Source accuracy</th>"
      "<th scope=\"col\">Rank for 90%, median</th><th scope=\"col\">Tokens/s</th><th "
      "scope=\"col\">Time</th></tr></thead>\n"
      "<tbody>\n";
  for (const Outcome& outcome : outcomes) html += row(outcome);
  html += "</tbody></table></div>\n";
  double largest_error = 0;
  for (const Outcome& outcome : outcomes) {
    for (const double error : {outcome.target_after.standard_error, outcome.source_after.standard_error}) {
      if (std::isfinite(error)) largest_error = std::max(largest_error, error);
    }
  }
  html +=
      "<p class=\"note\">Losses in nats per token on held-out text; learned: the fall of the target loss; "
      "forgot: the "
      "rise of the source loss.";
  if (largest_error > 0)
    html += fmt::format(" Standard error of a loss: at most {}.", fixed(largest_error, 3));
  return html + "</p>\n";
}

std::string corpora_table(const Study& study) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of data\"><table>\n<thead><tr>"
      "<th scope=\"col\">Data</th><th scope=\"col\">What it is</th><th scope=\"col\">Documents</th><th "
      "scope=\"col\">Size</th>"
      "<th scope=\"col\">Tokens</th><th scope=\"col\">Unigram entropy (nats per token)</th><th "
      "scope=\"col\">Licence</th></tr></thead>\n<tbody>\n";
  for (const auto& [role, corpus] : {std::pair{"source", &study.source}, {"target", &study.target}}) {
    html += fmt::format("<tr><th scope=\"row\">{} <small>({})</small></th><td class=\"words\">{}</td>",
                        escape(corpus->name), role, escape(corpus->description));
    html +=
        cell(grouped(corpus->documents)) + cell(bytes_text(corpus->bytes)) + cell(grouped(corpus->tokens));
    html += cell(fixed(corpus->unigram_entropy, 3)) +
            fmt::format("<td class=\"words\">{}</td></tr>\n", escape(corpus->licence));
  }
  html += "</tbody></table></div>\n";
  if (std::isfinite(study.code_fraction)) {
    html += fmt::format(
        "<p class=\"note\">The base's own data held {} of the target's kind of text: with none, the frozen "
        "embeddings of tokens never seen would decide the comparison.</p>\n",
        percent(study.code_fraction));
  }
  return html;
}

}  // namespace lethe::report
