// What a run learned and forgot so far, from its log.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lethe::report {

struct ChangePoint {
  double step = 0;
  std::optional<double> learned, forgotten;
};

// The examinations in a run's metrics.jsonl. Throws IoError, FormatError naming the line.
std::vector<ChangePoint> changes_in(const std::string& metrics_path);

// Learned above, forgotten below, over the steps: a figure as a file of its own.
std::string changes_svg(const std::vector<ChangePoint>& points);

}  // namespace lethe::report
