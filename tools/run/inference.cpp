#include "tools/run/inference.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/step_inputs.h"
#include "model/weights/load.h"
#include "tools/run/memory_budget.h"

namespace lethe {

InferenceModel::InferenceModel(const std::string& folder, const InferenceOptions& options)
    : InferenceModel(open_model_folder(folder), options) {}

InferenceModel::InferenceModel(ModelSource source, const InferenceOptions& options)
    : source_(std::move(source)) {
  std::optional<AdapterFiles> adapter;
  if (!options.adapter.empty()) adapter = open_adapter(options.adapter, source_.config);
  spec_ = {.config = source_.config,
           .precision = precision_of(options.precision),
           .rows = options.rows,
           .tokens = options.tokens,
           .gradients = options.gradients};
  if (adapter) {
    spec_.lora = adapter->config;
    spec_.lora->dropout = 0;  // belongs to training
  }
  programs_ = record_programs(spec_, true);
  auto backend = make_backend({.device = options.device, .threads = static_cast<int>(options.threads)});
  const int64_t budget = memory_budget(0, *backend);
  session_ = std::make_unique<Session>(std::move(programs_.state), std::move(programs_.tapes),
                                       std::move(backend), budget);
  fill_model(*session_, source_);
  if (adapter) load_adapter(*session_, *adapter, source_.config);
}

Buffer InferenceModel::logits() {
  session_->run(programs_.evaluate);
  return on_host(programs_.logits, logits_copy_);
}

Buffer InferenceModel::losses() {
  return on_host(programs_.losses, losses_copy_);
}

Buffer InferenceModel::on_host(Var var, std::vector<std::byte>& copy) const {
  Buffer found = session_->buffer(programs_.evaluate, var);
  if (session_->backend().device().kind == DeviceKind::cpu) return found;
  copy.resize(static_cast<size_t>(found.rows * found.pitch * size_of(found.dtype)));
  session_->backend().download(copy.data(), found.data, static_cast<int64_t>(copy.size()));
  found.data = copy.data();
  return found;
}

PlainBatch::PlainBatch(int64_t rows, int64_t tokens)
    : ids(static_cast<size_t>(rows * tokens), 0),
      labels(ids.size(), ignored_label),
      positions(ids.size()),
      document_start(ids.size(), 0) {
  for (size_t i = 0; i < positions.size(); ++i)
    positions[i] = static_cast<int32_t>(static_cast<int64_t>(i) % tokens);
}

void PlainBatch::set_row(int64_t row, int64_t tokens, std::span<const int32_t> row_ids,
                         std::span<const int32_t> row_labels) {
  if (static_cast<int64_t>(row_ids.size()) > tokens) {
    throw DataError(fmt::format("row {} has {} tokens where {} fit", row, row_ids.size(), tokens));
  }
  const auto begin = row * tokens;
  std::ranges::copy(row_ids, ids.begin() + begin);
  std::ranges::copy(row_labels, labels.begin() + begin);
  targets += std::ranges::count_if(row_labels, [](int32_t l) { return l != ignored_label; });
}

}  // namespace lethe
