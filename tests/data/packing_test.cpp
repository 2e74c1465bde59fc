#include "data/packing.h"

#include <algorithm>

#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

using Ints = std::vector<int32_t>;

struct Row {
  Ints ids, labels, positions, document_start;
  int64_t tokens;
};

Row row_of(const Rows& rows, int64_t index) {
  const auto size = static_cast<size_t>(rows.tokens_per_row());
  Row row{Ints(size, -7), Ints(size, -7), Ints(size, -7), Ints(size, -7), 0};
  row.tokens =
      rows.fill(index, {row.ids.data(), row.labels.data(), row.positions.data(), row.document_start.data()});
  return row;
}

constexpr int32_t none = ignored_label;

// The counts promised must be those of the rows dealt.
void expect_counts_hold(const Rows& rows) {
  RowCounts found;
  found.rows = rows.size();
  for (int64_t i = 0; i < rows.size(); ++i) {
    const Row row = row_of(rows, i);
    found.tokens += row.tokens;
    found.padding += rows.tokens_per_row() - row.tokens;
    for (const int32_t label : row.labels) found.supervised += label != none;
    int64_t documents = 0;
    for (size_t t = 0; t < row.document_start.size(); ++t) {
      documents += row.document_start[t] == static_cast<int32_t>(t);
    }
    found.most_documents = std::max(found.most_documents, documents);
  }
  EXPECT_EQ(found.tokens, rows.counts().tokens);
  EXPECT_EQ(found.padding, rows.counts().padding);
  EXPECT_EQ(found.supervised, rows.counts().supervised);
  EXPECT_EQ(found.most_documents, rows.counts().most_documents);
}

TEST(StreamRows, CutTheStreamAndKeepDocumentsApart) {
  const Folder folder;
  const auto rows = make_rows(shard_of(folder, {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}}), {.tokens_per_row = 4});
  ASSERT_EQ(rows->size(), 2);
  const Row first = row_of(*rows, 0), second = row_of(*rows, 1);
  EXPECT_EQ(first.ids, (Ints{1, 2, 3, 4}));
  EXPECT_EQ(first.labels, (Ints{2, 3, none, none}));
  EXPECT_EQ(first.positions, (Ints{0, 1, 2, 0}));
  EXPECT_EQ(first.document_start, (Ints{0, 0, 0, 3}));
  EXPECT_EQ(second.ids, (Ints{5, 6, 7, 8}));
  EXPECT_EQ(second.labels, (Ints{6, 7, 8, 9}));  // 9 lies beyond the row
  EXPECT_EQ(second.positions, (Ints{0, 1, 2, 3}));
  EXPECT_EQ(second.document_start, (Ints{0, 0, 0, 0}));
  EXPECT_EQ(rows->counts().supervised, 6);
  expect_counts_hold(*rows);
}

TEST(StreamRows, AreOneTextWithoutTheDocumentMask) {
  const Folder folder;
  const auto rows =
      make_rows(shard_of(folder, {{1, 2, 3}, {4}, {5, 6}}), {.tokens_per_row = 4, .document_mask = false});
  ASSERT_EQ(rows->size(), 2);
  const Row first = row_of(*rows, 0), second = row_of(*rows, 1);
  EXPECT_EQ(first.labels, (Ints{2, 3, 4, 5}));
  EXPECT_EQ(first.positions, (Ints{0, 1, 2, 3}));
  EXPECT_EQ(first.document_start, (Ints{0, 0, 0, 0}));
  EXPECT_EQ(second.ids, (Ints{5, 6, 0, 0}));
  EXPECT_EQ(second.labels, (Ints{6, none, none, none}));
  EXPECT_EQ(second.positions, (Ints{0, 1, 0, 0}));
  EXPECT_EQ(second.document_start, (Ints{0, 0, 0, 0}));  // padding is no document of its own
  EXPECT_EQ(rows->counts().most_documents, 1);
  EXPECT_EQ(second.tokens, 2);
  expect_counts_hold(*rows);
}

TEST(StreamRows, SpreadALongDocumentOverRowsWithoutLosingALabel) {
  const Folder folder;
  Ints document(1025);
  for (int32_t i = 0; i < 1025; ++i) document[i] = i % 100;
  const auto shard = shard_of(folder, {{7}, document, {8}});
  for (const int64_t length : {1, 2, 7, 64, 1024, 1025, 1026, 5000}) {
    for (const bool mask : {true, false}) {
      const auto rows = make_rows(shard, {.tokens_per_row = length, .document_mask = mask});
      EXPECT_EQ(rows->counts().supervised, mask ? 1024 : 1026);
      expect_counts_hold(*rows);
    }
  }
}

TEST(PackedRows, TakeWhatFillsThemBest) {
  const Folder folder;
  const auto rows = make_rows(shard_of(folder, {{1, 2}, {6}, {3, 4, 5}, {7, 8, 9, 10}}),
                              {.tokens_per_row = 5, .mode = RowMode::pack});
  ASSERT_EQ(rows->size(), 2);
  const Row first = row_of(*rows, 0), second = row_of(*rows, 1);
  EXPECT_EQ(first.ids, (Ints{1, 2, 3, 4, 5}));
  EXPECT_EQ(first.labels, (Ints{2, none, 4, 5, none}));
  EXPECT_EQ(first.positions, (Ints{0, 1, 0, 1, 2}));
  EXPECT_EQ(first.document_start, (Ints{0, 0, 2, 2, 2}));
  EXPECT_EQ(second.ids, (Ints{6, 7, 8, 9, 10}));
  EXPECT_EQ(second.labels, (Ints{none, 8, 9, 10, none}));
  EXPECT_EQ(second.document_start, (Ints{0, 1, 1, 1, 1}));
  EXPECT_EQ(rows->counts().efficiency(), 1.0);
  expect_counts_hold(*rows);
}

TEST(PackedRows, CutWhatIsTooLongAndPadWhatIsLeft) {
  const Folder folder;
  const auto rows = make_rows(shard_of(folder, {{1, 2, 3, 4, 5, 6, 7}, {8, 9}}),
                              {.tokens_per_row = 3, .mode = RowMode::pack});
  ASSERT_EQ(rows->size(), 3);
  EXPECT_EQ(row_of(*rows, 0).labels, (Ints{2, 3, 4}));
  EXPECT_EQ(row_of(*rows, 1).labels, (Ints{5, 6, 7}));
  EXPECT_EQ(row_of(*rows, 2).ids, (Ints{7, 8, 9}));
  EXPECT_EQ(row_of(*rows, 2).labels, (Ints{none, 9, none}));
  expect_counts_hold(*rows);
  const auto padded =
      make_rows(shard_of(folder, {{1, 2, 3}, {4, 5}}), {.tokens_per_row = 4, .mode = RowMode::pack});
  const Row second = row_of(*padded, 1);
  EXPECT_EQ(second.ids, (Ints{4, 5, 0, 0}));
  EXPECT_EQ(second.labels, (Ints{5, none, none, none}));
  EXPECT_EQ(second.document_start, (Ints{0, 0, 0, 0}));
  EXPECT_EQ(padded->counts().most_documents, 1);
  EXPECT_DOUBLE_EQ(padded->counts().efficiency(), 5.0 / 8.0);
}

TEST(PackedRows, PredictTheNextDocumentOnlyWithoutTheMask) {
  const Folder folder;
  const auto rows = make_rows(shard_of(folder, {{1, 2}, {3}}),
                              {.tokens_per_row = 4, .mode = RowMode::pack, .document_mask = false});
  const Row row = row_of(*rows, 0);
  EXPECT_EQ(row.labels, (Ints{2, 3, none, none}));
  EXPECT_EQ(row.positions, (Ints{0, 1, 2, 0}));
  EXPECT_EQ(row.document_start, (Ints{0, 0, 0, 0}));
  EXPECT_EQ(rows->counts().most_documents, 1);
  expect_counts_hold(*rows);
}

// But for a token alone in its row, which has nothing to predict.
TEST(PackedRows, HoldEveryTokenOnceWhateverTheWindow) {
  const Folder folder;
  std::vector<Ints> documents;
  Ints all;
  size_t rests_of_one = 0;
  for (int32_t i = 0; i < 300; ++i) {
    documents.emplace_back(1 + (i * 37) % 90, i % 100);
    rests_of_one += documents.back().size() % 64 == 1;
    all.insert(all.end(), documents.back().begin(), documents.back().end());
  }
  std::sort(all.begin(), all.end());
  const auto shard = shard_of(folder, documents);
  for (const int64_t window : {1, 7, 1024}) {
    for (const bool mask : {true, false}) {
      const auto rows = make_rows(
          shard, {.tokens_per_row = 64, .mode = RowMode::pack, .document_mask = mask, .window = window});
      expect_counts_hold(*rows);
      Ints found;
      for (int64_t i = 0; i < rows->size(); ++i) {
        const Row row = row_of(*rows, i);
        found.insert(found.end(), row.ids.begin(), row.ids.begin() + row.tokens);
        EXPECT_GT(std::ranges::count_if(row.labels, [](int32_t label) { return label != none; }), 0);
      }
      std::sort(found.begin(), found.end());
      EXPECT_TRUE(std::ranges::includes(all, found));
      if (window == 1) {
        EXPECT_EQ(found.size(), all.size() - rests_of_one);
      }
      if (window == 1024) {
        EXPECT_EQ(found, all);
        EXPECT_GT(rows->counts().efficiency(), 0.98);
      }
    }
  }
}

TEST(Rows, RefuseAShardWithoutASupervisedToken) {
  const Folder folder;
  const auto lonely = shard_of(folder, {{1}, {2}, {3}});
  for (const RowMode mode : {RowMode::stream, RowMode::pack}) {
    const auto error = error_of<DataError>([&] { make_rows(lonely, {.tokens_per_row = 2, .mode = mode}); });
    EXPECT_EQ(error.what(), lonely->path() + ": no supervised token among 3 tokens in 3 documents");
    EXPECT_THROW(make_rows(shard_of(folder, {}), {.tokens_per_row = 2, .mode = mode}), DataError);
  }
  EXPECT_EQ(make_rows(lonely, {.tokens_per_row = 2, .document_mask = false})->counts().supervised, 2);
}

TEST(Rows, RefuseOptionsOutOfRange) {
  const Folder folder;
  const auto shard = shard_of(folder, {{1, 2}});
  EXPECT_EQ(error_of<ConfigError>([&] { make_rows(shard, {.tokens_per_row = 0}); }).key, "sequence_length");
  EXPECT_EQ(error_of<ConfigError>([&] { make_rows(shard, {.tokens_per_row = 2, .window = 0}); }).key,
            "data.packing_window");
  EXPECT_EQ(row_mode("data.rows", "pack"), RowMode::pack);
  EXPECT_EQ(error_of<ConfigError>([&] { row_mode("data.rows", "heap"); }).key, "data.rows");
}

}  // namespace
}  // namespace lethe
