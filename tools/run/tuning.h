// What tuning a program's matrix products found, as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kernels/matmul_product.h"

namespace lethe {

// Column titles, and a product's line below them: sizes, uses, the untuned and the fastest time, and the
// rate.
std::string tuning_title();
std::string tuning_line(const kernels::MatmulTuning& tuning);
// What all gain together over one run of each program.
std::string tuning_summary(const std::vector<kernels::MatmulTuning>& tunings);

nlohmann::json tuning_json(const std::vector<kernels::MatmulTuning>& tunings);

}  // namespace lethe
