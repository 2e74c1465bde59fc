// How a model's rotary positions were stretched beyond the context it was first trained on.
#pragma once

namespace lethe {

// Fields under their Hugging Face names; those a type does not have keep their defaults.
struct RopeScaling {
  enum class Type { none, linear, llama3, yarn };
  Type type = Type::none;
  double factor = 1;                                 // all but none
  double original_max_position_embeddings = 0;       // llama3, yarn
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn
  double attention_factor = 0;                       // yarn; 0: from the factor and the two below
  double mscale = 0, mscale_all_dim = 0;             // yarn; 0: not given

  bool operator==(const RopeScaling&) const = default;
};

}  // namespace lethe
