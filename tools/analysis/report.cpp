#include "tools/analysis/report.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/analysis/analysis.h"
#include "tools/analysis/claims.h"
#include "tools/report/numbers.h"
#include "tools/report/png.h"

namespace lethe::analysis {
namespace {

namespace fs = std::filesystem;

std::string header_of(const Grid& grid) {
  const StudyInfo& s = grid.records().study;
  size_t finished = 0, diverged = 0;
  for (const Run& run : grid.records().runs) {
    finished += !run.is_base();
    diverged += run.diverged;
  }
  return fmt::format(
      "# {}\n\nWhat fine-tuning and LoRA learned and forgot: {} runs ({} diverged) of a model of {} "
      "parameters "
      "(width {}, {} layers), sequences of {} tokens, batches of {} tokens, on {}. Begun {}; Lethe {}.\n\n"
      "    {}\n\n"
      "Intervals are of 95%. \"Over seeds\" is Student's interval of the mean over seeds; \"over held-out "
      "text\" is "
      "1.96 standard errors of the held-out score, which is all there is for one seed. Where both are known "
      "the wider "
      "one is drawn and decides; the tables hold both. Differences are taken seed by seed. Learned and "
      "forgotten are "
      "counted from the base's own score: a loss in nats per token, an accuracy in points.\n\n",
      s.name, grid.panels().empty() ? 0 : finished, diverged,
      report::compact(static_cast<double>(s.parameters)), s.hidden_size, s.layers,
      report::grouped(s.sequence_length), report::grouped(s.batch_tokens), s.device, s.created, s.version,
      s.command);
}

std::string section_of(const Analysis& analysis) {
  std::string text = fmt::format("## {}\n\n", analysis.title);
  if (analysis.figure) text += fmt::format("![{0}](figures/{1}.svg)\n\n", analysis.title, analysis.name);
  text += analysis.words;
  while (text.back() == ' ' || text.back() == '\n') text.pop_back();
  text += "\n\n";
  if (analysis.figure)
    text += fmt::format(
        "Figure: [SVG](figures/{0}.svg), [PNG](figures/{0}.png). Numbers: "
        "[tables/{0}.csv](tables/{0}.csv).\n\n",
        analysis.name);
  return text;
}

void make_folder(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) throw IoError(path, failed.message());
}

}  // namespace

std::vector<Analysis> analyses_of(const Grid& grid) {
  std::vector<Analysis> all;
  for (const auto analysis :
       {learning_analysis, forgetting_analysis, plane_analysis, learning_rate_analysis,
        regularisation_analysis, diversity_analysis, layer_rank_analysis, change_rank_analysis,
        intruder_analysis, modules_analysis, alpha_analysis, variants_analysis, mitigation_analysis,
        base_analysis, size_analysis, cost_analysis})
    all.push_back(analysis(grid));
  return all;
}

void write_report(const std::string& results_path, const std::string& output_dir) {
  const Records records = read_records(results_path);
  const Grid grid(records);
  std::vector<Analysis> all{claims_analysis(grid)};
  for (Analysis& analysis : analyses_of(grid)) all.push_back(std::move(analysis));

  const std::string figures = output_dir + "/figures", tables = output_dir + "/tables";
  make_folder(figures);
  make_folder(tables);
  bool converts = true;
  std::string text = header_of(grid);
  for (const Analysis& analysis : all) {
    text += section_of(analysis);
    const std::string figure = figures + "/" + analysis.name, table = tables + "/" + analysis.name + ".csv";
    if (!analysis.figure) {
      for (const std::string& stale : {figure + ".svg", figure + ".png", table}) remove_file(stale);
      continue;
    }
    replace_file(figure + ".svg", report::standalone_svg(*analysis.figure, analysis.title));
    if (converts) converts = report::convert_to_png(figure + ".svg", figure + ".png", 1.25);
    replace_file(table, csv_of(analysis.table));
  }
  if (!converts)
    log::warning(
        "no PNG figures: the program rsvg-convert is missing (Debian and Ubuntu package librsvg2-bin)");
  while (text.ends_with("\n\n")) text.pop_back();
  replace_file(output_dir + "/report.md", text);
}

}  // namespace lethe::analysis
