#include "data/loader.h"

#include <fmt/format.h>

#include "data/permutation.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

std::vector<double> weights_of(const std::vector<MixtureSource>& sources) {
  std::vector<double> weights;
  weights.reserve(sources.size());
  for (const MixtureSource& source : sources) weights.push_back(source.weight);
  return weights;
}

Batch empty_batch(int64_t rows, int64_t tokens_per_row) {
  if (rows < 1) throw ConfigError("micro_batch_size", fmt::format("must be 1 or more, is {}", rows));
  Batch batch;
  batch.rows = rows;
  batch.tokens_per_row = tokens_per_row;
  const auto size = static_cast<size_t>(rows * tokens_per_row);
  for (auto* array : {&batch.ids, &batch.labels, &batch.positions, &batch.document_start})
    array->resize(size);
  return batch;
}

// Deals `rows` into row `index` of the batch.
void deal(const Rows& rows, int64_t row, int64_t index, Batch& batch) {
  const int64_t tokens = rows.fill(row, batch.row(index));
  batch.tokens += tokens;
  batch.padding += batch.tokens_per_row - tokens;
}

void count_targets(Batch& batch) {
  for (const int32_t label : batch.labels) batch.valid_targets += label == ignored_label ? 0 : 1;
}

}  // namespace

RowView Batch::row(int64_t index) {
  const int64_t begin = index * tokens_per_row;
  return {ids.data() + begin, labels.data() + begin, positions.data() + begin, document_start.data() + begin};
}

Loader::Loader(std::vector<MixtureSource> sources, LoaderOptions options)
    : sources_(std::move(sources)), options_(options), mixture_(weights_of(sources_)) {
  tokens_per_row_ = sources_[0].rows->tokens_per_row();
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Rows& rows = *sources_[i].rows;
    if (rows.size() == 0) throw DataError(fmt::format("data source {} has no rows", i));
    if (rows.tokens_per_row() != tokens_per_row_) {
      throw DataError(fmt::format("data source {} has rows of {} tokens, source 0 of {}", i,
                                  rows.tokens_per_row(), tokens_per_row_));
    }
  }
}

Loader::Origin Loader::origin(uint64_t position) const {
  const Mixture::Place place = mixture_.at(position);
  const auto size = static_cast<uint64_t>(sources_[place.source].rows->size());
  const uint64_t epoch = place.index / size, index = place.index % size;
  if (!options_.shuffle) return {place.source, epoch, static_cast<int64_t>(index)};
  // Each source has a key of its own: two of the same size must not be dealt in the same order.
  const uint64_t key =
      Rng(options_.seed, stream_of("data.shuffle")).bits(static_cast<uint64_t>(place.source));
  return {place.source, epoch, static_cast<int64_t>(KeyedPermutation(size, key, epoch)(index))};
}

Batch Loader::at(uint64_t position, int64_t rows) const {
  Batch batch = empty_batch(rows, tokens_per_row_);
  for (int64_t i = 0; i < rows; ++i) {
    const Origin from = origin(position + static_cast<uint64_t>(i));
    deal(*sources_[from.source].rows, from.row, i, batch);
  }
  count_targets(batch);
  if (batch.valid_targets == 0) {
    throw DataError(fmt::format("the batch of {} rows at row {} of the data order has no supervised token",
                                rows, position));
  }
  return batch;
}

Batch Loader::next(int64_t rows) {
  Batch batch = at(position_, rows);
  position_ += static_cast<uint64_t>(rows);
  return batch;
}

int64_t Loader::rows_per_epoch() const {
  int64_t rows = 0;
  for (const MixtureSource& source : sources_) rows += source.rows->size();
  return rows;
}

EvaluationLoader::EvaluationLoader(std::shared_ptr<const Rows> rows, int64_t batch_rows)
    : rows_(std::move(rows)), batch_rows_(batch_rows) {
  if (batch_rows < 1) {
    throw ConfigError("evaluation.batch_size", fmt::format("must be 1 or more, is {}", batch_rows));
  }
}

int64_t EvaluationLoader::batches() const {
  return (rows_->size() + batch_rows_ - 1) / batch_rows_;
}

Batch EvaluationLoader::batch(int64_t index) const {
  Batch batch = empty_batch(batch_rows_, rows_->tokens_per_row());
  for (int64_t i = 0; i < batch_rows_; ++i) {
    const int64_t row = index * batch_rows_ + i;
    if (row < rows_->size()) {
      deal(*rows_, row, i, batch);
    } else {
      fill_padding(0, batch.tokens_per_row, batch.row(i));
      batch.padding += batch.tokens_per_row;
    }
  }
  count_targets(batch);
  return batch;
}

}  // namespace lethe
