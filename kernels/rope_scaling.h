// How a model's rotary positions were stretched beyond the context it was first trained on.
#pragma once

#include <cstdint>
#include <optional>

namespace lethe {

// How the frequencies f_j are rescaled, with L = original_max_position_embeddings and w_j = 2 pi / f_j the
// wavelength in tokens:
//   linear   f / factor (Chen et al., "Extending Context Window of LLMs via Positional Interpolation", 2023).
//   llama3   f where w < L / high_freq_factor; f / factor where w > L / low_freq_factor; between them the
//            mean of both weighted by s = (L / w - low) / (high - low) for f (Llama 3.1's configuration).
//   yarn     f / factor where ramp = 1, f where ramp = 0, mixed between; the ramp over j rises from the index
//            that turns beta_fast times within L to the one that turns beta_slow times; cos and sin are
//            multiplied by an attention factor (Peng et al., "YaRN", 2023).
enum class RopeType : uint8_t { standard, linear, llama3, yarn };

// Fields under their Hugging Face names; those a type does not have keep their defaults. Without attention_factor,
// yarn takes it from the factor and the two mscales.
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
