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

// The tokens of an id are added in order, in dtable's compute type, and rounded once.
template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write, Stream stream);

}  // namespace lethe::kernels::cuda
