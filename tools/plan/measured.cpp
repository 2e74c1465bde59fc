#include "tools/plan/measured.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/error.h"
#include "model/config.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

std::string method_of(const ProgramSpec& spec) {
  return !spec.lora ? "full" : spec.lora->use_dora ? "dora" : "lora";
}

std::string asked_for(const ProgramSpec& spec) {
  return fmt::format("{} parameters, {}{}, sequences of {}", parameter_count(spec.config), method_of(spec),
                     spec.lora ? fmt::format(" of rank {}", spec.lora->rank) : "", spec.tokens);
}

bool fits(const nlohmann::json& line, const ProgramSpec& spec) {
  return line.value("parameters", int64_t{0}) == parameter_count(spec.config) &&
         line.value("method", "") == method_of(spec) && line.value("world", 1) == 1 &&
         line.value("seq", int64_t{0}) == spec.tokens &&
         (!spec.lora || line.value("rank", int64_t{0}) == spec.lora->rank);
}

}  // namespace

Measured read_measured(const std::string& file, const ProgramSpec& spec) {
  std::ifstream in(file);
  if (!in) throw IoError(file, "cannot be opened");
  Measured found;
  std::vector<std::string> others;
  int64_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    if (!line.is_object()) throw FormatError(file, fmt::format("line {}", number), "is no JSON object");
    if (line.contains("lethe") && line["lethe"].is_object()) line = nlohmann::json(line["lethe"]);
    if (!line.contains("step_ms") || !line.contains("parameters")) continue;
    try {
      const double ms = line.at("step_ms");
      const int64_t batch = line.at("batch"), seq = line.at("seq");
      if (!(ms > 0) || batch < 1 || seq < 1)
        throw FormatError(file, fmt::format("line {}", number),
                          fmt::format("has a step of {} ms with {} x {}", ms, batch, seq));
      if (fits(line, spec)) {
        found = {ms / 1e3, batch * seq,
                 fmt::format("{} ms a step of {} x {}, measured on {}", ms, batch, seq,
                             line.value("gpu", line.value("device", "?")))};
      } else {
        others.push_back(fmt::format("{} {} {} rank {} seq {}", line.value("shape", "?"),
                                     line.at("parameters").dump(), line.value("method", "?"),
                                     line.value("rank", 0), seq));
      }
    } catch (const nlohmann::json::exception& error) {
      throw FormatError(file, fmt::format("line {}", number), error.what());
    }
  }
  if (found.step_seconds > 0) return found;
  throw ConfigError("--measured",
                    fmt::format("{} has no step of one process with {}; it has {}", file, asked_for(spec),
                                others.empty() ? "none" : fmt::format("{}", fmt::join(others, "; "))));
}

Measured assumed(double flops, double peak_tflops, double share, const ProgramSpec& spec) {
  if (!(peak_tflops > 0)) throw ConfigError("--peak", fmt::format("{} TFLOP/s is not above 0", peak_tflops));
  if (!(share > 0) || share > 1)
    throw ConfigError("--peak-share", fmt::format("{} is not above 0 and at most 1", share));
  return {flops / (peak_tflops * 1e12 * share), spec.rows * spec.tokens,
          fmt::format("assumed: {} of {} TFLOP/s", share, peak_tflops)};
}

}  // namespace lethe
