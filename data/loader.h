// Deals rows: shuffled and mixed for training, in order for evaluation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/mixture.h"
#include "data/packing.h"

namespace lethe {

// Plain numbers for a model; the arrays are [rows, tokens_per_row], see RowView.
struct Batch {
  int64_t rows = 0;
  int64_t tokens_per_row = 0;
  std::vector<int32_t> ids, labels, positions, document_start;
  int64_t valid_targets = 0;  // labels that are not ignored
  int64_t tokens = 0;         // without padding
  int64_t padding = 0;

  RowView row(int64_t index);
};

struct MixtureSource {
  std::shared_ptr<const Rows> rows;
  double weight = 1.0;  // its share of the rows dealt
};

struct LoaderOptions {
  uint64_t seed = 0;
  bool shuffle = true;  // each source anew in each of its epochs
};

// What is dealt at a position depends on (sources, options, position) alone: the position is all a checkpoint
// keeps, and going to any position costs the same.
class Loader {
 public:
  // Throws ConfigError (weights, see Mixture), DataError (rows of different length, a source without rows).
  Loader(std::vector<MixtureSource> sources, LoaderOptions options);

  // at(position(), rows), and moves position() on; after an error it stays.
  Batch next(int64_t rows);
  // The batch at any position, of rows >= 1 (ConfigError). Throws DataError when no token of it is
  // supervised.
  Batch at(uint64_t position, int64_t rows) const;

  uint64_t position() const { return position_; }  // rows dealt
  void seek(uint64_t position) { position_ = position; }
  // Rows of all sources together.
  int64_t rows_per_epoch() const;
  int64_t tokens_per_row() const { return tokens_per_row_; }

  struct Origin {
    int64_t source;
    uint64_t epoch;  // of that source
    int64_t row;     // in its rows
  };
  Origin origin(uint64_t position) const;

 private:
  std::vector<MixtureSource> sources_;
  LoaderOptions options_;
  Mixture mixture_;
  int64_t tokens_per_row_ = 0;
  uint64_t position_ = 0;
};

// Every row once, in order. All batches have batch_rows rows; the last is filled up with ignored ones.
class EvaluationLoader {
 public:
  // Throws ConfigError (batch_rows below 1).
  EvaluationLoader(std::shared_ptr<const Rows> rows, int64_t batch_rows);

  int64_t batches() const;
  // 0 <= index < batches(). A batch may have no supervised token here: it adds nothing to the sums.
  Batch batch(int64_t index) const;

 private:
  std::shared_ptr<const Rows> rows_;
  int64_t batch_rows_;
};

}  // namespace lethe
