// Tensors made piece by piece where they lie.
#include "engine/backend/row_sources.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <stdexcept>

#include "engine/backend/backend.h"

namespace lethe {
namespace {

TEST(RowSources, are_cut_into_whole_rows_in_order) {
  const std::vector<RowSource> sources{{.row_bytes = 3, .rows = 7},
                                       {.row_bytes = 100, .rows = 2},
                                       {.row_bytes = 0, .rows = 4},
                                       {.row_bytes = 1, .rows = 0}};
  const std::vector<RowPiece> pieces = cut_rows(sources, 10);
  ASSERT_EQ(pieces.size(), 5u);  // 3 + 3 + 1 rows, and rows that are longer than a piece one by one
  EXPECT_EQ(pieces[1].first, 3);
  EXPECT_EQ(pieces[2].count, 1);
  EXPECT_EQ(pieces[3].bytes(), 100);
  EXPECT_EQ(pieces[4].first, 1);
}

// Byte (row, i) of tensor t; what lies between rows stays as it was.
std::byte value(size_t t, int64_t row, int64_t i) {
  return static_cast<std::byte>(7 + 31 * static_cast<int64_t>(t) + 5 * row + i);
}

TEST(RowSources, fill_dense_and_pitched_tensors_on_any_number_of_threads) {
  for (const int threads : {1, 4}) {
    struct Tensor {
      int64_t rows, row_bytes, pitch;
      std::vector<std::byte> memory;
    };
    std::vector<Tensor> tensors;
    for (const auto& [rows, row, pitch] :
         {std::array<int64_t, 3>{5000, 1024, 1024}, {300, 7000, 7040}, {1, 12, 12}, {2, 3 << 20, 3 << 20}}) {
      tensors.push_back({rows, row, pitch, std::vector<std::byte>(static_cast<size_t>(rows * pitch))});
    }
    std::vector<RowSource> sources;
    for (size_t t = 0; t < tensors.size(); ++t) {
      Tensor& to = tensors[t];
      sources.push_back({to.memory.data(), to.pitch, to.row_bytes, to.rows,
                         [t, row = to.row_bytes](int64_t first, int64_t count, std::byte* out) {
                           for (int64_t r = 0; r < count; ++r)
                             for (int64_t i = 0; i < row; ++i) out[r * row + i] = value(t, first + r, i);
                         }});
    }
    make_cpu_backend({.threads = threads})->upload_sources(sources);
    for (size_t t = 0; t < tensors.size(); ++t) {
      int64_t wrong = 0;
      for (int64_t r = 0; r < tensors[t].rows; ++r) {
        for (int64_t i = 0; i < tensors[t].pitch; ++i) {
          const std::byte expected = i < tensors[t].row_bytes ? value(t, r, i) : std::byte{0};
          wrong += tensors[t].memory[static_cast<size_t>(r * tensors[t].pitch + i)] != expected;
        }
      }
      EXPECT_EQ(wrong, 0) << t;
    }
  }
}

TEST(RowSources, what_one_worker_throws_ends_the_others) {
  std::vector<std::byte> memory(64);
  std::atomic<int> made = 0;
  const std::vector<RowSource> sources{{memory.data(), 1, 1, 64, [&](int64_t, int64_t, std::byte*) {
                                          ++made;
                                          throw std::runtime_error("row");
                                        }}};
  const auto run = [&] {
    share_pieces(cut_rows(sources, 1), 3, [](int, const NextPiece& next) {
      while (const RowPiece* p = next()) p->source->fill(p->first, p->count, nullptr);
    });
  };
  EXPECT_THROW(run(), std::runtime_error);
  EXPECT_LE(made, 3);  // one piece each at most: whoever throws asks for no other
}

}  // namespace
}  // namespace lethe
