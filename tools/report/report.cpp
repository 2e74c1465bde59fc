#include "tools/report/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/log.h"
#include "tools/report/findings.h"
#include "tools/report/html.h"
#include "tools/report/png.h"

namespace lethe::report {
namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw IoError(path, "cannot be written");
}

}  // namespace

void write_report(const std::string& results_path, const std::string& output_dir) {
  const Results results = read_results(results_path);
  const std::vector<Outcome> outcomes = outcomes_of(results);
  const std::vector<Figure> figures = figures_of(results);
  const std::string page = report_page(results, outcomes, findings_of(results, outcomes), figures);

  const std::string folder = output_dir + "/figures";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw IoError(folder, failed.message());
  bool converts = true;
  for (const Figure& figure : figures) {
    const std::string path = folder + "/" + figure.name;
    write_file(path + ".svg", standalone_svg(figure.wide, figure.title));
    if (converts) converts = convert_to_png(path + ".svg", path + ".png");
  }
  if (!converts) {
    log::warning(
        "no PNG figures: the program rsvg-convert is missing (Debian and Ubuntu package librsvg2-bin)");
  }
  write_file(output_dir + "/report.html", page);
}

}  // namespace lethe::report
