#include "kernels/embedding.h"

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

template <class Table, class Y>
void embedding(Rows<const Table> table, const int32_t* ids, Rows<Y> y) {
  parallel_pieces(y.rows, rows_grain(y.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Table* from = table.row(ids[i]);
      Y* to = y.row(i);
      for (int64_t c = 0; c < y.width; ++c)
        to[c] = static_cast<Y>(static_cast<compute_t<Y>>(static_cast<compute_t<Table>>(from[c])));
    }
  });
}

template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write) {
  // A slice of columns belongs to one thread, which adds the tokens in order.
  constexpr int64_t kSlice = 64;
  parallel_pieces(dtable.width, kSlice, [&](int64_t begin, int64_t end) {
    if (write == Write::overwrite) {
      for (int64_t v = 0; v < dtable.rows; ++v)
        std::fill(dtable.row(v) + begin, dtable.row(v) + end, DTable{});
    }
    for (int64_t i = 0; i < dy.rows; ++i) {
      if (ids[i] == padding_id) continue;
      const DY* from = dy.row(i);
      DTable* to = dtable.row(ids[i]);
      for (int64_t c = begin; c < end; ++c) {
        put(to[c], static_cast<compute_t<DTable>>(static_cast<compute_t<DY>>(from[c])), Write::accumulate);
      }
    }
  });
}

int64_t first_invalid_id(const int32_t* ids, int64_t count, int64_t vocabulary) {
  for (int64_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) return i;
  }
  return -1;
}

#define LETHE_EMBEDDING(X, Y)                                            \
  template void embedding<X, Y>(Rows<const X>, const int32_t*, Rows<Y>); \
  template void embedding_backward<X, Y>(Rows<const X>, const int32_t*, int32_t, Rows<Y>, Write);
LETHE_EMBEDDING(double, double)
LETHE_EMBEDDING(float, float)
LETHE_EMBEDDING(float, bf16)
LETHE_EMBEDDING(bf16, float)
LETHE_EMBEDDING(bf16, bf16)
#undef LETHE_EMBEDDING

}  // namespace lethe::kernels::cpu
