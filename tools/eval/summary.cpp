#include "tools/eval/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lethe::eval {

nlohmann::json json_of(const Summary& summary) {
  nlohmann::json made{{"task", summary.task}, {"documents", summary.documents}};
  if (summary.shots) made["shots"] = *summary.shots;
  if (!summary.file.empty()) made["file"] = summary.file;
  for (const Metric& m : summary.metrics) {
    made["metrics"][m.name] = {{"value", m.value}, {"standard_error", nullptr}};
    if (std::isfinite(m.standard_error)) made["metrics"][m.name]["standard_error"] = m.standard_error;
  }
  for (const Summary& part : summary.parts) made["parts"].push_back(json_of(part));
  return made;
}

std::string table_of(const std::vector<Summary>& summaries) {
  size_t width = 4;
  for (const Summary& s : summaries) width = std::max(width, s.task.size());
  std::string text = fmt::format("{:{}}  {:>5}  {:>9}  {:<18}  {:>8}  {:>8}\n", "task", width, "shots",
                                 "documents", "metric", "value", "error");
  for (const Summary& s : summaries) {
    bool first = true;
    for (const Metric& m : s.metrics) {
      const std::string error =
          std::isfinite(m.standard_error) ? fmt::format("{:.4f}", m.standard_error) : "";
      const std::string shots = s.shots ? fmt::to_string(*s.shots) : "";
      text += first ? fmt::format("{:{}}  {:>5}  {:>9}", s.task, width, shots, s.documents)
                    : std::string(width + 18, ' ');
      text += fmt::format("  {:<18}  {:>8.4f}  {:>8}\n", m.name, m.value, error);
      first = false;
    }
  }
  return text;
}

}  // namespace lethe::eval
