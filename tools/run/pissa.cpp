#include "tools/run/pissa.h"

#include <cblas.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "engine/host_values.h"
#include "engine/log.h"
#include "engine/rng.h"
#include "model/merge.h"
#include "model/weights/names.h"
#include "model/weights/save.h"
#include "tools/spectrum/svd.h"

namespace lethe {
namespace {

constexpr const char *kA = ".lora_A.weight", *kB = ".lora_B.weight";

struct AdaptedMap {
  LinearModule map;
  LoraModule adapter;
};

std::vector<AdaptedMap> adapted_maps(const LlamaConfig& config, const LoraConfig& lora) {
  std::vector<AdaptedMap> found;
  for (const LinearModule& m : linear_modules(config)) {
    if (const auto adapter = adapter_of(lora, m.path)) found.push_back({m, *adapter});
  }
  return found;
}

bool is_factor(const std::string& name) {
  return name.ends_with(kA) || name.ends_with(kB);
}

// The decompositions' products on all cores; everywhere else Lethe's own threads are the parallelism.
struct ThreadedBlas {
  ThreadedBlas() { openblas_set_num_threads(static_cast<int>(std::thread::hardware_concurrency())); }
  ~ThreadedBlas() { openblas_set_num_threads(1); }
  ThreadedBlas(const ThreadedBlas&) = delete;
  ThreadedBlas& operator=(const ThreadedBlas&) = delete;
};

// Twice the rank at the same scale.
LoraConfig doubled(LoraConfig lora) {
  const double grown = lora.use_rslora ? std::sqrt(2.0) : 2.0;
  lora.rank *= 2;
  lora.alpha *= grown;
  for (auto& [pattern, rank] : lora.rank_pattern) rank *= 2;
  for (auto& [pattern, alpha] : lora.alpha_pattern) alpha *= grown;
  return lora;
}

// [rows, left + right columns] of [rows, left] and [rows, right], the right negated.
std::vector<double> beside(const std::vector<double>& a, const std::vector<double>& b, int64_t rows) {
  std::vector<double> both;
  both.reserve(a.size() + b.size());
  const auto left = std::ssize(a) / rows, right = std::ssize(b) / rows;
  for (int64_t r = 0; r < rows; ++r) {
    both.insert(both.end(), a.begin() + r * left, a.begin() + (r + 1) * left);
    for (int64_t c = 0; c < right; ++c) both.push_back(-b[static_cast<size_t>(r * right + c)]);
  }
  return both;
}

}  // namespace

FirstFactors set_principal_factors(Session& session, const LlamaConfig& config, const LoraConfig& lora,
                                   int64_t iterations, uint64_t seed) {
  const ThreadedBlas threads;
  FirstFactors first;
  const std::vector<AdaptedMap> maps = adapted_maps(config, lora);
  for (size_t done = 0; done < maps.size(); ++done) {
    const auto& [m, adapter] = maps[done];
    if (done % 28 == 0) log::info("singular parts of " + m.path);
    const std::vector<double> w = host_values(session, m.path + ".weight");
    const Svd svd = iterations == 0 ? singular_value_decomposition(m.out, m.in, w.data())
                                    : truncated_svd(m.out, m.in, w.data(), adapter.rank, iterations,
                                                    {seed, stream_of(m.path + ".pissa")});
    const auto k = std::ssize(svd.values);
    std::vector<double> a(static_cast<size_t>(adapter.rank * m.in)),
        b(static_cast<size_t>(m.out * adapter.rank));
    for (int64_t r = 0; r < std::min<int64_t>(adapter.rank, k); ++r) {
      const double size = std::sqrt(svd.values[static_cast<size_t>(r)] / adapter.scale);
      for (int64_t i = 0; i < m.in; ++i)
        a[static_cast<size_t>(r * m.in + i)] = size * svd.right_transposed[static_cast<size_t>(r * m.in + i)];
      for (int64_t o = 0; o < m.out; ++o)
        b[static_cast<size_t>(o * adapter.rank + r)] = size * svd.left[static_cast<size_t>(o * k + r)];
    }
    for (const auto& [end, values] : {std::pair{kA, &a}, std::pair{kB, &b}}) {
      set_host_values(session, m.path + end, *values);
      first[m.path + end] = host_values(session, m.path + end);
    }
  }
  return first;
}

void take_from_base(Session& session, const LlamaConfig& config, const LoraConfig& lora,
                    const FirstFactors& first) {
  for (const auto& [m, adapter] : adapted_maps(config, lora)) {
    const std::vector<double> part = scaled_product(first.at(m.path + kB), first.at(m.path + kA), m.out,
                                                    adapter.rank, m.in, adapter.scale);
    std::vector<double> w = host_values(session, m.path + ".weight");
    for (size_t i = 0; i < w.size(); ++i) w[i] -= part[i];
    set_host_values(session, m.path + ".weight", w);
  }
}

void save_first_factors(const std::string& folder, const Session& session, const LlamaConfig& config,
                        const LoraConfig& lora, const FirstFactors& first) {
  std::filesystem::create_directories(folder);
  LoraConfig factors = lora;
  factors.modules_to_save.clear();
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& t : adapter_tensors(config, factors)) {
    tensors.push_back(tensor_to_write(t.file_name, stored_type_of(session.buffer(t.name).dtype), t.shape,
                                      first.at(t.name).data(), DType::f64));
  }
  write_adapter(folder, factors, tensors);
}

FirstFactors load_first_factors(const std::string& folder, const LlamaConfig& config,
                                const LoraConfig& lora) {
  LoraConfig factors = lora;
  factors.modules_to_save.clear();
  const AdapterFiles files = open_adapter(folder, config);
  check_adapter_file(*files.weights, config, factors);
  FirstFactors first;
  for (const AdapterTensor& t : adapter_tensors(config, factors)) {
    std::vector<double>& values = first[t.name];
    values.resize(static_cast<size_t>(elements_of(t.shape)));
    files.weights->read(t.file_name, {values.data(), DType::f64, 0});
  }
  return first;
}

void save_beside_base(const std::string& folder, const Session& session, const LlamaConfig& config,
                      const LoraConfig& lora, const FirstFactors& first, const std::string& base) {
  std::filesystem::create_directories(folder);
  LoraConfig written = doubled(lora);
  written.base_model_name = base;
  std::vector<std::vector<double>> held;
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& t : adapter_tensors(config, written)) {
    std::vector<double> values = host_values(session, t.name);
    if (is_factor(t.name)) {
      const std::vector<double>& before = first.at(t.name);
      if (t.name.ends_with(kA)) {
        values.insert(values.end(), before.begin(), before.end());
      } else {
        values = beside(values, before, t.shape[0]);
      }
    }
    held.push_back(std::move(values));
    tensors.push_back(tensor_to_write(t.file_name, stored_type_of(session.buffer(t.name).dtype), t.shape,
                                      held.back().data(), DType::f64));
  }
  write_adapter(folder, written, tensors);
}

}  // namespace lethe
