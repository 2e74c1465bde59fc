// Writes a token shard document by document; the file appears when it is whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/atomic_file.h"
#include "data/token_shard.h"

namespace lethe {

class ShardWriter {
 public:
  // `header`: tokens and documents are counted here. Throws IoError.
  ShardWriter(const std::string& path, ShardHeader header);

  // Appends a document; `supervised` says of each id whether it is a target where the header is masked.
  // Throws DataError for an empty one or an id outside vocab_size, IoError.
  void append(std::span<const int32_t> ids, std::span<const uint8_t> supervised = {});
  const ShardHeader& header() const { return header_; }
  ShardHeader& header() { return header_; }
  // Writes what is left and renames the file into place. Throws IoError.
  void commit();

 private:
  void flush();

  AtomicFile file_;
  ShardHeader header_;
  std::vector<unsigned char> pending_;
  std::vector<uint64_t> offsets_{0};
  std::vector<unsigned char> mask_;
};

}  // namespace lethe
