#include "tools/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::report {
namespace {

constexpr const char* page_rules = R"css(
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.55;-webkit-text-size-adjust:100%;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Liberation Sans","DejaVu Sans",sans-serif}
main,header,footer{max-width:1360px;margin:0 auto;padding:0 28px}
header{padding-top:44px;padding-bottom:8px}
.kicker{color:var(--muted);font-size:.95rem;margin:0 0 10px}
h1{font-size:clamp(1.45rem,2.6vw,2.15rem);line-height:1.25;letter-spacing:-.012em;font-weight:650;margin:0 0 14px;max-width:34em}
h2{font-size:1.3rem;line-height:1.3;margin:52px 0 14px}
h3{font-size:1.02rem;margin:0 0 8px}
p,ul{margin:0 0 12px}
.prose{max-width:52em}
.prose li{margin-bottom:7px}
.lead{font-size:1.08rem}
p.note,figcaption{color:var(--muted);font-size:.9rem}
figcaption{margin-top:6px;max-width:62em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin:26px 0 0}
.card{background:var(--panel);border:1px solid var(--grid);border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:1.55rem;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.card b small{font-size:.85rem;font-weight:400;color:var(--muted)}
.card span{color:var(--muted);font-size:.88rem}
.measured{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:0 40px;align-items:start}
.measured figure{margin:0}
.figures{display:grid;grid-template-columns:1fr 1fr;gap:44px 40px}
.figures figure{margin:0;min-width:0}
.figures .full{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto}
svg.narrow{display:none}
.scroll{overflow-x:auto;border:1px solid var(--grid);border-radius:10px;margin-bottom:10px}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:9px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
thead th{white-space:normal;vertical-align:bottom;color:var(--muted);font-weight:500;background:var(--panel);line-height:1.3}
th:first-child,td.words{text-align:left}
td.words{white-space:normal;min-width:16em}
tbody th{font-weight:600;position:sticky;left:0;background:var(--paper)}
tbody th small{font-weight:400;color:var(--muted)}
tbody th em{color:var(--c0);font-weight:400}
thead th:first-child{position:sticky;left:0}
tbody tr:last-child>*{border-bottom:0}
.arrow{color:var(--muted)}
pre{background:var(--panel);border:1px solid var(--grid);border-radius:8px;padding:12px 14px;overflow-x:auto;font-size:.88rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 20px;margin:0 0 14px;font-size:.95rem}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
footer{color:var(--muted);font-size:.88rem;padding-top:26px;padding-bottom:44px}
@media(max-width:960px){.figures,.measured{grid-template-columns:minmax(0,1fr);row-gap:34px}}
@media(max-width:640px){main,header,footer{padding-left:16px;padding-right:16px}header{padding-top:26px}
svg.wide{display:none}svg.narrow{display:block}.cards{grid-template-columns:1fr 1fr;gap:9px}.card{padding:11px 12px}
.card b{font-size:1.25rem}h2{margin-top:38px}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}
th,td{padding:8px 9px}}
@media print{.scroll{overflow:visible}figure{break-inside:avoid}}
)css";

std::string card(const std::string& number, const std::string& unit, const std::string& words) {
  return fmt::format("<div class=\"card\"><b>{} <small>{}</small></b><span>{}</span></div>\n", number, unit,
                     escape(words));
}

std::string cards(const Results& results, const std::vector<Outcome>& outcomes) {
  std::vector<const Outcome*> done;
  for (const Outcome& outcome : outcomes) {
    if (outcome.complete()) done.push_back(&outcome);
  }
  std::string html = "<div class=\"cards\">\n";
  if (!done.empty()) {
    const auto by_learned = [](const Outcome* a, const Outcome* b) { return a->learned() < b->learned(); };
    const auto by_forgot = [](const Outcome* a, const Outcome* b) { return a->forgot() < b->forgot(); };
    const Outcome* learner = *std::max_element(done.begin(), done.end(), by_learned);
    const auto [keeper, forgetter] = std::minmax_element(done.begin(), done.end(), by_forgot);
    html += card(signed_fixed(-learner->learned(), 3), "nats",
                 "target loss, largest fall: " + learner->run.label);
    html += card(signed_fixed((*forgetter)->forgot(), 3), "nats",
                 "source loss, largest rise: " + (*forgetter)->run.label);
    if (done.size() > 1) {
      html += card(signed_fixed((*keeper)->forgot(), 3), "nats",
                   "source loss, smallest rise: " + (*keeper)->run.label);
    }
  }
  html += card(compact(static_cast<double>(results.study.model.parameters)), "parameters", "in the model");
  html += card(grouped(static_cast<int64_t>(outcomes.size())), outcomes.size() == 1 ? "run" : "runs",
               "from one base");
  html += card(duration(results.study.seconds), "", "on " + results.study.device);
  return html + "</div>\n";
}

std::string figure_html(const Figure& figure) {
  const std::string description = figure.title + ". " + figure.caption;
  return fmt::format("<figure{}>\n<h3>{}</h3>\n{}{}<figcaption>{}</figcaption>\n</figure>\n",
                     figure.full_width ? " class=\"full\"" : "", escape(figure.title),
                     inline_svg(figure.wide, "wide", description),
                     inline_svg(figure.narrow, "narrow", description), escape(figure.caption));
}

std::string definition(const char* term, const std::string& meaning) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", term, escape(meaning));
}

std::string how_section(const Study& study) {
  const ModelInfo& model = study.model;
  std::string html = "<h2>How it was made</h2>\n<dl>\n";
  html += definition(
      "Model", fmt::format("Llama, {} parameters: {} layers of width {}, {} heads ({} for keys and values), "
                           "MLP {}, {} tokens in the vocabulary",
                           grouped(model.parameters), model.num_hidden_layers, grouped(model.hidden_size),
                           model.num_attention_heads, model.num_key_value_heads,
                           grouped(model.intermediate_size), grouped(model.vocab_size)));
  html += definition("Batch", fmt::format("{} tokens a step, in sequences of {}", grouped(study.batch_tokens),
                                          grouped(study.sequence_length)));
  html += definition(
      "Machine", fmt::format("{}, {} thread{}", study.device, study.threads, study.threads == 1 ? "" : "s"));
  html += definition("Time", fmt::format("{} in all, {}", duration(study.seconds), study.created));
  html += definition("Program", "lethe " + study.version);
  html += "</dl>\n<p>The command:</p>\n";
  return html + fmt::format("<pre><code>{}</code></pre>\n", escape(study.command));
}

std::string caveats(const Study& study) {
  return fmt::format(
      "<h2>What this cannot say</h2>\n<ul class=\"prose\">\n"
      "<li>The model is small ({} parameters) and the training short: the size of an effect here is not its "
      "size in a model "
      "of billions.</li>\n"
      "<li>One seed for each run. The standard errors cover which text was held out, not how another start "
      "or another order "
      "of the data would have gone.</li>\n"
      "<li>All runs are scored on the same held-out text, and the errors of two runs are combined as if they "
      "were "
      "independent: a difference called clear is clear, one called within error may still be real.</li>\n"
      "<li>Forgetting is measured as loss and next-token accuracy on text like the base's own, not as lost "
      "abilities.</li>\n"
      "</ul>\n",
      compact(static_cast<double>(study.model.parameters)));
}

// The sentences and, beside them where there is room, the figure that shows most at once.
std::string measured_section(const Findings& findings, const Figure* beside) {
  std::string html = "<h2>What was measured</h2>\n<div class=\"measured\">\n<div class=\"prose\">\n";
  html += fmt::format("<p class=\"lead\">{}</p>\n<ul>\n", escape(findings.sentences.front()));
  for (size_t i = 1; i < findings.sentences.size(); ++i)
    html += "<li>" + escape(findings.sentences[i]) + "</li>\n";
  html += "</ul>\n</div>\n";
  if (beside) html += figure_html(*beside);
  return html + "</div>\n";
}

std::string head(const Study& study) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}: learned and "
      "forgotten</title>\n<style>\n"
      ":root{{color-scheme:light "
      "dark;{}}}\n@media(prefers-color-scheme:dark){{:root{{{}}}}}\n{}{}</style>\n</head>\n",
      escape(study.name), color_variables(false), color_variables(true), page_rules,
      figure_css(Theme::variables));
}

}  // namespace

std::string report_page(const Results& results, const std::vector<Outcome>& outcomes,
                        const Findings& findings, const std::vector<Figure>& figures) {
  const Study& study = results.study;
  std::string html = head(study) + "<body>\n<header>\n";
  html += fmt::format("<p class=\"kicker\">{}: from {} to {}</p>\n<h1>{}.</h1>\n", escape(study.name),
                      escape(study.source.name), escape(study.target.name), escape(findings.headline));
  html += cards(results, outcomes) + "</header>\n<main>\n";
  const auto plane =
      std::find_if(figures.begin(), figures.end(), [](const Figure& f) { return f.name == "plane"; });
  html += measured_section(findings, plane == figures.end() ? nullptr : &*plane);
  html += "<h2>Figures</h2>\n<div class=\"figures\">\n";
  for (const Figure& figure : figures) {
    if (figure.name != "plane") html += figure_html(figure);
  }
  html += "</div>\n";
  if (results.spectra.empty()) html += "<p class=\"note\">No singular values were recorded.</p>\n";
  html += "<h2>The runs</h2>\n" + runs_table(outcomes);
  html += "<h2>The data</h2>\n" + corpora_table(study);
  html += how_section(study) + caveats(study) + "</main>\n";
  html +=
      "<footer>Made by lethe from results.jsonl; the figures lie beside this page as SVG and PNG.</footer>\n";
  return html + "</body>\n</html>\n";
}

}  // namespace lethe::report
