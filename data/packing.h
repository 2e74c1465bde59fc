// Token shards as rows of fixed length: what a model is trained on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/token_shard.h"

namespace lethe {

// A label that no loss is computed for.
inline constexpr int32_t ignored_label = -100;

// Where a row is written: arrays of tokens_per_row.
struct RowView {
  int32_t* ids;
  int32_t* labels;          // the token that follows ids[i], or ignored_label
  int32_t* positions;       // counted from the beginning of the document's piece in this row
  int32_t* document_start;  // column where that piece begins: attention looks back no further
};

// Makes the row padding from column `begin` on: nothing to predict. To attention it is more tokens of the
// row's last document, behind all that can see it, so that padding adds no document.
void fill_padding(int64_t begin, int64_t tokens_per_row, const RowView& out);

struct RowCounts {
  int64_t rows = 0;
  int64_t tokens = 0;  // without padding
  int64_t padding = 0;
  int64_t supervised = 0;         // labels that are not ignored
  int64_t unsupervised_rows = 0;  // rows without such a label
  int64_t most_documents = 1;     // that a row holds, whole or in part; 1 where they are not told apart
  // The share of columns that hold a token.
  double efficiency() const { return static_cast<double>(tokens) / static_cast<double>(tokens + padding); }
};

class Rows {
 public:
  virtual ~Rows() = default;
  virtual int64_t tokens_per_row() const = 0;
  virtual const RowCounts& counts() const = 0;
  // Writes row `row` of [0, counts().rows) and returns how many columns are not padding. Throws FormatError
  // for a damaged shard. Safe from several threads.
  virtual int64_t fill(int64_t row, const RowView& out) const = 0;

  int64_t size() const { return counts().rows; }
};

enum class RowMode {
  // The documents one after another, cut every tokens_per_row: no padding but in the last row; documents may
  // be
  // split over rows. Row r is tokens [r T, r T + T), its last label the token after them.
  stream,
  // Documents whole, several to a row, as RowPacker puts them together out of `window` pieces; longer ones
  // are cut into full rows and a rest. What is left of a row is padding. A row without a label to predict,
  // such as a rest of one token alone, is left out.
  pack,
};

struct RowOptions {
  int64_t tokens_per_row = 0;
  RowMode mode = RowMode::stream;
  // true: a token sees, and is counted from the beginning of, its own document only, and the last token of a
  // document predicts nothing. false: a row is one text.
  bool document_mask = true;
  int64_t window = 1024;  // pack: document pieces
};

// Rows over a shard. stream costs no memory, pack some 16 bytes a document. A label is a target where the
// shard says so of that token. Throws ConfigError (tokens_per_row or window below 1; a masked shard as stream
// or without document_mask) and DataError naming the shard when no label of it is supervised.
std::unique_ptr<Rows> make_rows(const std::shared_ptr<const TokenShard>& shard, const RowOptions& options);

// "stream" or "pack"; throws ConfigError(key) otherwise.
RowMode row_mode(const std::string& key, const std::string& name);

}  // namespace lethe
