#include "model/merge.h"

#include <cmath>

#include "engine/host_values.h"
#include "model/weights/names.h"

namespace lethe {

std::vector<double> scaled_product(const std::vector<double>& b, const std::vector<double>& a, int64_t out,
                                   int64_t rank, int64_t in, double scale) {
  std::vector<double> product(static_cast<size_t>(out * in), 0.0);
  for (int64_t o = 0; o < out; ++o) {
    double* row = product.data() + o * in;
    for (int64_t k = 0; k < rank; ++k) {
      const double scaled = scale * b[static_cast<size_t>(o * rank + k)];
      const double* factor = a.data() + k * in;
      for (int64_t i = 0; i < in; ++i) row[i] += scaled * factor[i];
    }
  }
  return product;
}

std::vector<double> with_magnitudes(const std::vector<double>& weight, std::vector<double> change,
                                    const std::vector<double>& magnitude) {
  const size_t in = magnitude.empty() ? 0 : weight.size() / magnitude.size();
  for (size_t o = 0; o < magnitude.size(); ++o) {
    double squares = 0;
    for (size_t i = o * in; i < (o + 1) * in; ++i)
      squares += (weight[i] + change[i]) * (weight[i] + change[i]);
    const double factor = magnitude[o] / std::sqrt(squares);
    for (size_t i = o * in; i < (o + 1) * in; ++i) change[i] = factor * (weight[i] + change[i]) - weight[i];
  }
  return change;
}

void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora) {
  for (const LinearModule& m : linear_modules(config)) {
    const std::optional<LoraModule> adapter = adapter_of(lora, m.path);
    if (!adapter) continue;
    const std::vector<double> a = host_values(session, m.path + ".lora_A.weight");
    const std::vector<double> b = host_values(session, m.path + ".lora_B.weight");
    std::vector<double> change = scaled_product(b, a, m.out, adapter->rank, m.in, adapter->scale);
    std::vector<double> weight = host_values(session, m.path + ".weight");
    if (lora.use_dora) {
      change =
          with_magnitudes(weight, std::move(change), host_values(session, m.path + ".lora_magnitude_vector"));
    }
    for (size_t i = 0; i < weight.size(); ++i) weight[i] += change[i];
    set_host_values(session, m.path + ".weight", weight);
  }
}

}  // namespace lethe
