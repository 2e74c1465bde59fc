// How a model's rotary positions were stretched beyond the context it was first trained on.
#pragma once

namespace lethe {

// How the frequencies f_j are rescaled, with L = original_max_position_embeddings and w_j = 2 pi / f_j the
// wavelength in tokens:
//   linear   f / factor (Chen et al., "Extending Context Window of LLMs via Positional Interpolation", 2023).
//   dynamic  f as it is up to the context that the model has (max_position_embeddings); only longer sequences
//            would change it, and none are run.
//   llama3   f where w < L / high_freq_factor; f / factor where w > L / low_freq_factor; between them the
//            mean of both weighted by s = (L / w - low) / (high - low) for f (Llama 3.1's configuration).
//   yarn     f / factor where ramp = 1, f where ramp = 0, mixed between; the ramp over j rises from the index
//            that turns beta_fast times within L to the one that turns beta_slow times; cos and sin are
//            multiplied by an attention factor (Peng et al., "YaRN", 2023).
// Fields under their Hugging Face names; those a type does not have keep their defaults.
struct RopeScaling {
  enum class Type { none, linear, dynamic, llama3, yarn };
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
