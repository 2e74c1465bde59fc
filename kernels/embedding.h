// Rows of a table by index, and the sum of gradients that comes back to them:
//   y_i = table[id_i],   dtable[v] = sum over i with id_i = v of dy_i.
// Ids outside the table are the caller's error: see first_invalid_id.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// table: [V, C]; ids: [N]; y: [N, C], overwritten. Stored in different types, a value is rounded once.
template <class Table, class Y>
void embedding(Rows<const Table> table, const int32_t* ids, Rows<Y> y);

// dtable: [V, C]; overwriting clears the rows that no id names. Tokens are added in order, each in dtable's
// type. Tokens with id padding_id add nothing; -1: there is no such id.
template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write);

// The index of the first id outside [0, vocabulary), or -1.
int64_t first_invalid_id(const int32_t* ids, int64_t count, int64_t vocabulary);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class Table, class Y>
void embedding(Rows<const Table> table, const int32_t* ids, Rows<Y> y, Stream stream);

// Tokens, sorted by id, are summed in chunks of so many.
constexpr int64_t kEmbeddingChunk = 32;
inline int64_t embedding_chunks(int64_t tokens) {
  return (tokens + kEmbeddingChunk - 1) / kEmbeddingChunk;
}
// Two lists of 8-byte keys, and two partial sums a chunk.
template <class DTable>
int64_t embedding_backward_workspace_bytes(int64_t tokens, int64_t width) {
  return 16 * tokens + 2 * embedding_chunks(tokens) * width * static_cast<int64_t>(sizeof(compute_t<DTable>));
}
// The tokens of an id are added in order within each chunk, then the chunks, in dtable's compute type, and
// rounded once. Below 2^31 tokens.
template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write, void* workspace, Stream stream);

}  // namespace lethe::kernels::cuda
