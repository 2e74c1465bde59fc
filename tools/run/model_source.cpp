#include "tools/run/model_source.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/rng.h"
#include "model/transformer.h"
#include "model/weights/gguf_model.h"
#include "model/weights/load.h"
#include "model/weights/names.h"
#include "tools/hub/model.h"

namespace lethe {
namespace {

// The arithmetic of a model: what must agree between a checkpoint and the run that resumes it. A loaded model
// adds each tensor's name and size, and the bytes at its start and end.
std::string fingerprint_of(const LlamaConfig& config, const std::optional<ModelFiles>& files, uint64_t seed) {
  LlamaConfig arithmetic = config;
  arithmetic.other_keys = "{}";
  uint64_t hash = stream_of(config_text(arithmetic));
  const auto mix = [&](std::string_view bytes) { hash = (hash * 0x100000001b3u) ^ stream_of(bytes); };
  if (!files) mix(fmt::format("seed {}", seed));
  for (const StoredTensor& t : files ? files->tensors() : std::vector<StoredTensor>{}) {
    const std::span<const std::byte> bytes = t.file->bytes(*t.entry);
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    const size_t ends = std::min<size_t>(bytes.size(), 4096);
    mix(t.entry->name);
    mix({text, ends});
    mix({text + bytes.size() - ends, ends});
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace

ModelSource open_model_folder(const std::string& name) {
  const std::string path = local_model(name);
  ModelSource source{
      .config = read_model_config(path), .files = ModelFiles::open(path), .path = path, .name = name};
  check_model_files(*source.files, source.config);
  source.fingerprint = fingerprint_of(source.config, source.files, 0);
  return source;
}

LlamaConfig model_config(const TrainOptions::Model& options) {
  if (!options.path.empty()) return read_model_config(local_model(options.path, HubPart::config));
  return options.config_path.empty() ? parse_config_text("model.config", options.config_json)
                                     : parse_config(options.config_path);
}

ModelSource open_model(const TrainOptions::Model& options) {
  if (!options.path.empty()) return open_model_folder(options.path);
  ModelSource source;
  source.config = model_config(options);
  source.initial_seed = static_cast<uint64_t>(options.initial_seed);
  source.fingerprint = fingerprint_of(source.config, std::nullopt, source.initial_seed);
  return source;
}

void fill_model(Session& session, const ModelSource& source) {
  fill_rope_table(session, source.config);
  if (source.files) {
    load_weights(session, *source.files, source.config);
  } else {
    initialise_weights(session, source.config, source.initial_seed);
  }
}

BaseReference base_reference(const ModelSource& source) {
  const auto name = parse_hub_name(source.name);
  if (!name || source.name == source.path || !name->file.empty()) return {source.path, ""};
  return {name->repository, std::filesystem::path(source.path).filename().string()};
}

std::optional<LoraConfig> lora_of(const TrainOptions& options, const LlamaConfig& model) {
  if (options.method != "lora") return std::nullopt;
  LoraConfig lora{.rank = options.lora.rank,
                  .alpha = options.lora.alpha,
                  .dropout = options.lora.dropout,
                  .use_rslora = options.lora.use_rslora,
                  .target_modules = options.lora.target_modules,
                  .base_model_name = options.model.path,
                  .target_expression = options.lora.target_expression,
                  .exclude_modules = options.lora.exclude_modules,
                  .layers_to_transform = options.lora.layers_to_transform,
                  .layers_pattern = options.lora.layers_pattern,
                  .rank_pattern = options.lora.rank_pattern,
                  .alpha_pattern = options.lora.alpha_pattern,
                  .modules_to_save = options.lora.modules_to_save,
                  .use_dora = options.lora.use_dora,
                  .gaussian_init = options.lora.init == "gaussian"};
  check_lora_config(lora, model);
  return lora;
}

Precision precision_of(const std::string& name) {
  if (name == "float64") return Precision::f64();
  if (name == "bfloat16") return Precision::bf16();
  return Precision::f32();
}

Precision precision_of(const TrainOptions& options) {
  if (options.precision != "bfloat16") return precision_of(options.precision);
  Precision precision = options.optimizer.state == "bfloat16" ? Precision::bf16_state() : Precision::bf16();
  const bool adds_up = options.train.batch_size > options.train.micro_batch_size;
  const std::string& gradients = options.train.gradients;
  precision.gradients =
      gradients == "bfloat16" || (gradients == "auto" && !adds_up) ? DType::bf16 : DType::f32;
  return precision;
}

}  // namespace lethe
