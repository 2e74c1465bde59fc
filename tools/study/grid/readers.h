// The jobs that look at a finished model: its benchmarks, and the spectra of what training changed.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "tools/study/grid/training.h"

namespace lethe::grid {

std::vector<nlohmann::json> spectrum_job(const Place& place, const Job& job);
std::vector<nlohmann::json> eval_job(const Study& study, const Place& place, const Job& job,
                                     const RunEnd& end);

}  // namespace lethe::grid
