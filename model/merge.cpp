#include "model/merge.h"

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

void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora) {
  for (const LinearModule& m : linear_modules(config)) {
    if (session.state().find(m.path + ".lora_A.weight") < 0) continue;
    const std::vector<double> a = host_values(session, m.path + ".lora_A.weight");
    const std::vector<double> b = host_values(session, m.path + ".lora_B.weight");
    const std::vector<double> change = scaled_product(b, a, m.out, lora.rank, m.in, lora.scale());
    std::vector<double> weight = host_values(session, m.path + ".weight");
    for (size_t i = 0; i < weight.size(); ++i) weight[i] += change[i];
    set_host_values(session, m.path + ".weight", weight);
  }
}

}  // namespace lethe
