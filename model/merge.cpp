#include "model/merge.h"

#include "engine/host_values.h"
#include "model/weights/names.h"

namespace lethe {

std::vector<double> adapter_delta(const Session& session, const std::string& module, const LoraConfig& lora) {
  const std::vector<double> a = host_values(session, module + ".lora_A.weight");
  const std::vector<double> b = host_values(session, module + ".lora_B.weight");
  const int64_t r = lora.rank, in = static_cast<int64_t>(a.size()) / r, out = static_cast<int64_t>(b.size()) / r;
  std::vector<double> delta(static_cast<size_t>(out * in), 0.0);
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t k = 0; k < r; ++k) {
      const double scaled = lora.scale() * b[static_cast<size_t>(o * r + k)];
      for (int64_t i = 0; i < in; ++i) delta[static_cast<size_t>(o * in + i)] += scaled * a[static_cast<size_t>(k * in + i)];
    }
  }
  return delta;
}

void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora) {
  for (const LinearModule& m : linear_modules(config)) {
    if (session.state().find(m.path + ".lora_A.weight") < 0) continue;
    std::vector<double> weight = host_values(session, m.path + ".weight");
    const std::vector<double> delta = adapter_delta(session, m.path, lora);
    for (size_t i = 0; i < weight.size(); ++i) weight[i] += delta[i];
    set_host_values(session, m.path + ".weight", weight);
  }
}

}  // namespace lethe
