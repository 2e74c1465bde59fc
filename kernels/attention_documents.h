// Where the documents of packed rows begin and end, as tables that cuDNN reads on the device.
#pragma once

#include <array>

#include "kernels/attention.h"

namespace lethe::kernels::cuda {

// Places of int32 tables of `capacity` documents in one piece of memory; each starts on 256 bytes.
struct DocumentTables {
  static constexpr int kOffsets = 9;  // one for each tensor that has a pitch of its own

  int64_t capacity = 0;

  // Entries between two tables.
  int64_t stride() const { return (capacity + 1 + 63) / 64 * 64; }
  int32_t* lengths(void* memory) const { return static_cast<int32_t*>(memory); }
  int32_t* starts(void* memory) const { return lengths(memory) + stride(); }
  int32_t* offsets(void* memory, int which) const { return lengths(memory) + (2 + which) * stride(); }
  int64_t bytes() const { return (2 + kOffsets) * stride() * int64_t{sizeof(int32_t)}; }
};

// document_start: [B*T], positions within the row. Writes the length in tokens of each document in the order
// of their tokens, 0 behind the last; starts [capacity + 1], the first token of each, B*T behind the last;
// and for each pitch offsets [capacity + 1], starts times the pitch. Documents beyond the capacity run
// together with the last: the host must have counted them.
void document_tables(const AttentionShape& shape, const int32_t* document_start,
                     const std::array<int64_t, DocumentTables::kOffsets>& pitches, void* memory,
                     Stream stream);

// Every row one document: lengths [B] of T tokens, nothing else.
void row_tables(const AttentionShape& shape, void* memory, Stream stream);

}  // namespace lethe::kernels::cuda
