#include "tools/eval/scoring_model.h"

#include "model/weights/load.h"
#include "tools/run/folded.h"
#include "tools/run/memory_budget.h"

namespace lethe::eval {

ScoringModel::ScoringModel(const std::string& folder, const ScoringModelOptions& options)
    : source_(open_model_folder(folder)) {
  const LlamaConfig& config = source_.config;
  std::optional<AdapterFiles> adapter;
  if (!options.adapter.empty()) adapter = open_adapter(options.adapter, config);
  const std::optional<LoraConfig> lora = adapter ? std::optional(adapter->config) : std::nullopt;
  const Precision precision = precision_of(options.precision);
  auto state = std::make_unique<State>();
  declare_inputs(*state, config, 1, options.size.tokens, precision);
  declare_scoring_inputs(*state, options.size);
  model_ = std::make_unique<Transformer>(*state, config, precision, lora, false);
  std::vector<std::unique_ptr<Tape>> tapes;
  auto programs = record_scoring(*state, *model_, options.size, tapes);
  auto backend = make_backend({.device = options.device, .threads = static_cast<int>(options.threads)});
  const int64_t budget = memory_budget(0, *backend);
  session_ = std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend), budget);
  fill_model(*session_, source_);
  if (adapter) load_adapter(*session_, *adapter, config);
  if (adapter && options.merge) fold_adapter(*session_, config, *lora);
  scorer_.emplace(*session_, std::move(programs), can_branch(config));
}

}  // namespace lethe::eval
