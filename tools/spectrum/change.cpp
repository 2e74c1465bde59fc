#include "tools/spectrum/change.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <optional>

#include "model/merge.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"
#include "model/weights/peft.h"
#include "tools/spectrum/spectrum.h"
#include "tools/spectrum/svd.h"

namespace lethe {
namespace {

std::vector<double> read(const TensorFile& file, const std::string& name, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  file.read(name, {values.data(), DType::f64, 0});
  return values;
}

std::vector<double> adapter_change(const SafetensorsFile& file, const LinearModule& m, const LoraConfig& lora,
                                   const std::vector<double>& base) {
  const std::string prefix = "base_model.model." + m.path;
  const LoraModule adapter = adapter_of(lora, m.path).value();
  const std::vector<double> a = read(file, prefix + ".lora_A.weight", adapter.rank * m.in);
  const std::vector<double> b = read(file, prefix + ".lora_B.weight", m.out * adapter.rank);
  std::vector<double> change = scaled_product(b, a, m.out, adapter.rank, m.in, adapter.scale);
  if (!lora.use_dora) return change;
  return with_magnitudes(base, std::move(change), read(file, prefix + ".lora_magnitude_vector", m.out));
}

}  // namespace

void visit_changes(const std::string& base, const std::string& tuned,
                   const std::function<void(const WeightChange&)>& visit) {
  const LlamaConfig config = read_model_config(base);
  const ModelFiles before = ModelFiles::open(base);
  check_model_files(before, config);
  std::optional<AdapterFiles> adapter;
  std::optional<ModelFiles> after;
  if (std::filesystem::exists(tuned + "/adapter_config.json")) {
    adapter = open_adapter(tuned, config);
  } else {
    after = ModelFiles::open(tuned);
    check_model_files(*after, config);
  }
  for (const LinearModule& m : linear_modules(config)) {
    if (adapter && !adapter->weights->find("base_model.model." + m.path + ".lora_A.weight")) continue;
    const std::string weight = m.path + ".weight", layers = "model.layers.";
    WeightChange c{.tensor = m.path,
                   .layer = std::stoll(m.path.substr(layers.size())),
                   .module = m.name,
                   .rows = m.out,
                   .columns = m.in};
    c.base = read(*before.require(weight).file, weight, m.out * m.in);
    if (adapter) {
      c.change = adapter_change(*adapter->weights, m, adapter->config, c.base);
    } else {
      c.change = read(*after->require(weight).file, weight, m.out * m.in);
      for (size_t i = 0; i < c.change.size(); ++i) c.change[i] -= c.base[i];
    }
    visit(c);
  }
}

Spectrum spectrum_of(const WeightChange& c) {
  Spectrum s{.tensor = c.tensor, .module = c.module, .layer = c.layer, .rows = c.rows, .columns = c.columns};
  s.singular_values = singular_values(c.rows, c.columns, c.change.data());
  s.rank90 = rank_for_variance(s.singular_values, 0.9);
  s.stable_rank = stable_rank(s.singular_values);
  s.frobenius = frobenius_norm(s.singular_values);
  double squares = 0;
  for (const double w : c.base) squares += w * w;
  s.relative_change = squares > 0 ? s.frobenius / std::sqrt(squares) : 0;
  return s;
}

}  // namespace lethe
