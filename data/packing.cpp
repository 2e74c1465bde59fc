#include "data/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "data/row_packer.h"
#include "engine/error.h"

namespace lethe {
namespace {

// A part of one document, or of the whole stream where documents are not told apart, that lies in one row.
struct Piece {
  int64_t begin;  // in tokens of the shard
  int32_t length;
  bool continues;  // the token after it belongs to the same text and is the last column's label
};

// Lays pieces side by side from column 0 on; returns the columns they take.
int64_t fill_row(const TokenShard& shard, const std::vector<Piece>& pieces, const RowOptions& options,
                 const RowView& out) {
  int64_t column = 0;
  for (const Piece& piece : pieces) {
    const int64_t end = column + piece.length;
    shard.read(piece.begin, piece.length, out.ids + column);
    std::copy(out.ids + column + 1, out.ids + end, out.labels + column);
    out.labels[end - 1] = ignored_label;
    if (piece.continues) shard.read(piece.begin + piece.length, 1, out.labels + end - 1);
    std::fill(out.document_start + column, out.document_start + end,
              static_cast<int32_t>(options.document_mask ? column : 0));
    std::iota(out.positions + column, out.positions + end,
              static_cast<int32_t>(options.document_mask ? 0 : column));
    if (!options.document_mask && column > 0) out.labels[column - 1] = out.ids[column];
    if (shard.header().masked) {
      for (int64_t i = 0; i < piece.length; ++i) {
        if (!shard.supervised(piece.begin + i) && i > 0) out.labels[column + i - 1] = ignored_label;
      }
      if (piece.continues && !shard.supervised(piece.begin + piece.length))
        out.labels[end - 1] = ignored_label;
    }
    column = end;
  }
  fill_padding(column, options.tokens_per_row, out);
  return column;
}

class StreamRows final : public Rows {
 public:
  StreamRows(std::shared_ptr<const TokenShard> shard, const RowOptions& options)
      : shard_(std::move(shard)), options_(options) {
    const int64_t T = options_.tokens_per_row;
    // The last token of all predicts nothing, so it does not open a row of its own.
    counts_.rows = shard_->tokens() < 2 ? 0 : (shard_->tokens() - 2) / T + 1;
    counts_.tokens = std::min(shard_->tokens(), counts_.rows * T);
    counts_.padding = counts_.rows * T - counts_.tokens;
    counts_.supervised =
        std::max<int64_t>(0, shard_->tokens() - (options_.document_mask ? shard_->documents() : 1));
    if (options_.document_mask) {
      count_unsupervised_rows();
      count_documents();
    }
  }

  int64_t tokens_per_row() const override { return options_.tokens_per_row; }
  const RowCounts& counts() const override { return counts_; }

  int64_t fill(int64_t row, const RowView& out) const override {
    const int64_t begin = row * options_.tokens_per_row;
    const int64_t end = std::min(begin + options_.tokens_per_row, shard_->tokens());
    std::vector<Piece> pieces;
    if (!options_.document_mask) {
      pieces.push_back({begin, static_cast<int32_t>(end - begin), end < shard_->tokens()});
    } else {
      int64_t document = shard_->document_of(begin);
      for (int64_t at = begin; at < end; ++document) {
        const int64_t document_end = shard_->document_begin(document + 1);
        const int64_t stop = std::min(end, document_end);
        pieces.push_back({at, static_cast<int32_t>(stop - at), stop < document_end});
        at = stop;
      }
    }
    return fill_row(*shard_, pieces, options_, out);
  }

 private:
  // Rows in which each token is the last of its document: runs of one-token documents.
  void count_unsupervised_rows() {
    const int64_t T = options_.tokens_per_row;
    int64_t document = 0;
    for (int64_t row = 0; row < counts_.rows; ++row) {
      const int64_t begin = row * T, end = std::min(begin + T, shard_->tokens());
      while (shard_->document_begin(document + 1) <= begin) ++document;
      // The first document that ends after its next token in the row has a target there.
      int64_t at = begin;
      while (at < end && shard_->document_begin(document + 1) == at + 1) ++at, ++document;
      counts_.unsupervised_rows += at == end;
      document = std::max<int64_t>(0, document - 1);
    }
  }

  // Each row's first document is the one that holds its first token, its last the one that holds its last.
  void count_documents() {
    const int64_t T = options_.tokens_per_row;
    int64_t document = 0;
    for (int64_t row = 0; row < counts_.rows; ++row) {
      const int64_t begin = row * T, end = std::min(begin + T, shard_->tokens());
      while (shard_->document_begin(document + 1) <= begin) ++document;
      const int64_t first = document;
      while (shard_->document_begin(document + 1) < end) ++document;
      counts_.most_documents = std::max(counts_.most_documents, document - first + 1);
    }
  }

  std::shared_ptr<const TokenShard> shard_;
  RowOptions options_;
  RowCounts counts_;
};

class PackedRows final : public Rows {
 public:
  PackedRows(std::shared_ptr<const TokenShard> shard, const RowOptions& options)
      : shard_(std::move(shard)), options_(options) {
    const int64_t T = options_.tokens_per_row;
    std::vector<Piece> all;
    RowPacker packer(T, options_.window, [&](const std::vector<int64_t>& numbers) {
      std::vector<Piece> row;
      for (const int64_t number : numbers) row.push_back(all[number]);
      emit(row);
    });
    for (int64_t document = 0; document < shard_->documents(); ++document) {
      const int64_t end = shard_->document_begin(document + 1);
      for (int64_t begin = shard_->document_begin(document); begin < end; begin += T) {
        const int64_t stop = std::min(begin + T, end);
        all.push_back({begin, static_cast<int32_t>(stop - begin), stop < end});
        packer.add(stop - begin);
      }
    }
    packer.finish();
    counts_.rows = std::ssize(row_begin_) - 1;
    counts_.padding = counts_.rows * T - counts_.tokens;
  }

  int64_t tokens_per_row() const override { return options_.tokens_per_row; }
  const RowCounts& counts() const override { return counts_; }

  int64_t fill(int64_t row, const RowView& out) const override {
    const std::vector<Piece> pieces(pieces_.begin() + row_begin_[row], pieces_.begin() + row_begin_[row + 1]);
    return fill_row(*shard_, pieces, options_, out);
  }

 private:
  void emit(const std::vector<Piece>& row) {
    int64_t used = 0, ends = 0;
    for (const Piece& piece : row) {
      used += piece.length;
      ends += piece.continues ? 0 : 1;
    }
    // A piece that continues fills its row, so where documents run together only the row's end is
    // unsupervised.
    const int64_t supervised = shard_->header().masked
                                   ? targets_of(row)
                                   : used - (options_.document_mask ? ends : std::min<int64_t>(ends, 1));
    if (supervised <= 0) return;
    counts_.tokens += used;
    counts_.supervised += supervised;
    if (options_.document_mask) counts_.most_documents = std::max(counts_.most_documents, std::ssize(row));
    pieces_.insert(pieces_.end(), row.begin(), row.end());
    row_begin_.push_back(std::ssize(pieces_));
  }

  // Of a masked shard, whose documents are always told apart: a token that begins one is no label.
  int64_t targets_of(const std::vector<Piece>& row) const {
    int64_t found = 0;
    for (const Piece& piece : row) {
      for (int64_t i = 1; i < piece.length + (piece.continues ? 1 : 0); ++i) {
        found += shard_->supervised(piece.begin + i);
      }
    }
    return found;
  }

  std::shared_ptr<const TokenShard> shard_;
  RowOptions options_;
  RowCounts counts_;
  std::vector<Piece> pieces_;
  std::vector<int64_t> row_begin_{0};
};

}  // namespace

void fill_padding(int64_t begin, int64_t tokens_per_row, const RowView& out) {
  const int32_t start = begin > 0 ? out.document_start[begin - 1] : 0;
  for (int64_t column = begin; column < tokens_per_row; ++column) {
    out.ids[column] = 0;
    out.labels[column] = ignored_label;
    out.positions[column] = 0;
    out.document_start[column] = start;
  }
}

std::unique_ptr<Rows> make_rows(const std::shared_ptr<const TokenShard>& shard, const RowOptions& options) {
  if (options.tokens_per_row < 1 || options.tokens_per_row > INT32_MAX) {
    throw ConfigError("sequence_length", fmt::format("must be 1 or more, is {}", options.tokens_per_row));
  }
  if (options.window < 1) {
    throw ConfigError("data.packing_window", fmt::format("must be 1 or more, is {}", options.window));
  }
  if (shard->header().masked && (options.mode == RowMode::stream || !options.document_mask)) {
    throw ConfigError(options.mode == RowMode::stream ? "data.packing" : "data.document_mask",
                      fmt::format("{} holds examples, which are packed whole and see nothing of each other",
                                  shard->header().source));
  }
  std::unique_ptr<Rows> rows;
  if (options.mode == RowMode::stream) {
    rows = std::make_unique<StreamRows>(shard, options);
  } else {
    rows = std::make_unique<PackedRows>(shard, options);
  }
  if (rows->counts().supervised == 0) {
    throw DataError(fmt::format("{}: no supervised token among {} tokens in {} documents", shard->path(),
                                shard->tokens(), shard->documents()));
  }
  return rows;
}

RowMode row_mode(const std::string& key, const std::string& name) {
  if (name == "stream") return RowMode::stream;
  if (name == "pack") return RowMode::pack;
  throw ConfigError(key, fmt::format("must be stream or pack, is \"{}\"", name));
}

}  // namespace lethe
