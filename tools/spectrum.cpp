// lethe spectrum BASE TUNED: singular values of what training changed, and how many directions that takes.
#include "tools/spectrum/spectrum.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/spectrum/change.h"

namespace lethe {

int spectrum_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Prints, for each linear map, the rank of the change between two models, or that an adapter makes.",
      "lethe spectrum");
  std::string base, tuned;
  bool json = false, intruders = false;
  app.add_option("BASE", base, "the base model: a folder, a GGUF file, or OWNER/NAME at the hub")->required();
  app.add_option("TUNED", tuned, "the tuned model, or a PEFT adapter; the same")->required();
  app.add_flag("--intruders", intruders,
               "also count intruder dimensions (arXiv 2410.21228; k = 10, epsilon = 0.5)");
  app.add_flag("--json", json, "one JSON object a line, singular values included");
  parse(app, arguments);

  base = local_model(base);
  tuned = local_model(tuned);
  if (!json) {
    std::cout << fmt::format("{:<40} {:>13} {:>7} {:>12} {:>11} {:>10}{}\n", "map", "shape", "rank90",
                             "stable rank", "frobenius", "relative", intruders ? "  intruders" : "");
  }
  visit_changes(base, tuned, [&](const WeightChange& c) {
    const Spectrum s = spectrum_of(c);
    int64_t found = 0;
    if (intruders) {
      std::vector<double> after = c.base;
      for (size_t i = 0; i < after.size(); ++i) after[i] += c.change[i];
      found = intruder_dimensions(c.rows, c.columns, c.base.data(), after.data());
    }
    if (json) {
      nlohmann::json line{{"tensor", s.tensor},
                          {"layer", s.layer},
                          {"module", s.module},
                          {"rows", s.rows},
                          {"columns", s.columns},
                          {"singular_values", s.singular_values},
                          {"rank90", s.rank90},
                          {"stable_rank", s.stable_rank},
                          {"effective_rank", effective_rank(s.singular_values)},
                          {"frobenius", s.frobenius},
                          {"relative_change", s.relative_change}};
      if (intruders) line["intruder_dimensions"] = found;
      std::cout << line.dump() << "\n";
      return;
    }
    std::cout << fmt::format("{:<40} {:>13} {:>7} {:>12.2f} {:>11.4g} {:>9.3f}%{}\n", s.tensor,
                             fmt::format("{} x {}", s.rows, s.columns), s.rank90, s.stable_rank, s.frobenius,
                             100 * s.relative_change, intruders ? fmt::format("  {:>9}", found) : "");
  });
  return 0;
}

}  // namespace lethe
