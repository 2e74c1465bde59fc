// How a model's rotary positions were stretched beyond the context it was first trained on.
#pragma once

#include <cstdint>
#include <optional>

namespace lethe {

enum class RopeType : uint8_t { standard, linear, llama3, yarn };

// Fields under their Hugging Face names; those a type does not have keep their defaults.
struct RopeScaling {
  RopeType type = RopeType::standard;
  double factor = 1.0;                           // all but standard
  int64_t original_max_position_embeddings = 0;  // llama3, yarn
  double low_freq_factor = 1.0;                  // llama3
  double high_freq_factor = 4.0;                 // llama3
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;                        // yarn
  bool truncate = true;                          // yarn
  std::optional<double> attention_factor;        // yarn
  std::optional<double> mscale, mscale_all_dim;  // yarn

  bool operator==(const RopeScaling&) const = default;
};

}  // namespace lethe
