// The rotary positions' part of config.json, which transformers 4 and 5 spell differently: top-level
// rope_theta with rope_scaling, or one object rope_parameters.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kernels/rope_scaling.h"

namespace lethe {

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling;
};

// Reads either spelling; both together must agree. Unknown types and unknown keys are refused, and so is a
// yarn factor with factor * original != max_position_embeddings unless `any_yarn_factor`. No theta anywhere:
// 10000, with a warning, or refused if `needs_theta`. Throws FormatError naming file, key and value.
RopeConfig parse_rope(const std::string& file, const nlohmann::json& config, int64_t max_position_embeddings,
                      bool any_yarn_factor, bool needs_theta = false);

// Sets rope_theta, rope_scaling and rope_parameters.
void write_rope(nlohmann::json& config, double theta, const RopeScaling& scaling,
                int64_t max_position_embeddings);

}  // namespace lethe
