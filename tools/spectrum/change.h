// What training changed, matrix by matrix, read from disk: W_tuned - W_base, or scale * B A of an adapter.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lethe {

struct WeightChange {
  std::string tensor;  // "model.layers.0.self_attn.q_proj"
  int64_t layer = 0;
  std::string module;  // "q_proj"
  int64_t rows = 0, columns = 0;
  std::vector<double> base, change;  // row-major
};

// Calls visit for each of the seven maps of each layer, in order; one matrix is in memory at a time. `tuned`
// is a model's folder or a PEFT adapter's (a map without factors did not change and is passed over). Throws
// FormatError if the two do not belong together.
void visit_changes(const std::string& base, const std::string& tuned,
                   const std::function<void(const WeightChange&)>& visit);

// The singular values of a change and what they say.
struct Spectrum {
  std::string tensor, module;
  int64_t layer = 0, rows = 0, columns = 0;
  std::vector<double> singular_values;
  int64_t rank90 = 0;  // least rank with 90% of the change's variance
  double stable_rank = 0;
  double frobenius = 0;        // of the change
  double relative_change = 0;  // over the base's
};

Spectrum spectrum_of(const WeightChange& change);

}  // namespace lethe
