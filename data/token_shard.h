// A file of token ids, read through a memory map.
//
// Layout, little-endian: 8 bytes of magic, uint64 length of the JSON header, the header, zeros up to byte
// 4096; the ids (uint16 while vocab_size <= 65536, else uint32), zeros up to a multiple of 8; documents + 1
// uint64 offsets, where each document begins, counted in tokens, then the token count.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lethe {

struct ShardHeader {
  std::string tokenizer;  // Tokenizer::fingerprint()
  int64_t vocab_size = 0;
  int64_t tokens = 0;
  int64_t documents = 0;
  std::string source;  // where the text came from, for people
  std::string key;     // of the cache: see build_shards

  bool wide() const { return vocab_size > 65536; }
};

class TokenShard {
 public:
  // Maps the file. Throws DataError when it is not there, FormatError when it is truncated, too long or its
  // header does not fit its bytes, DataError when `tokenizer` is given and is not the header's, IoError.
  explicit TokenShard(const std::string& path, const std::string& tokenizer = "");
  ~TokenShard();
  TokenShard(const TokenShard&) = delete;
  TokenShard& operator=(const TokenShard&) = delete;

  const std::string& path() const { return path_; }
  const ShardHeader& header() const { return header_; }
  int64_t tokens() const { return header_.tokens; }
  int64_t documents() const { return header_.documents; }

  // Where document `index` begins, in tokens; document_begin(documents()) is tokens().
  int64_t document_begin(int64_t index) const { return static_cast<int64_t>(offsets_[index]); }
  // The document that holds a token, 0 <= token < tokens(); a binary search.
  int64_t document_of(int64_t token) const;
  // Copies ids [begin, begin + count), within tokens(), to `out`. Throws FormatError at an id outside
  // vocab_size.
  void read(int64_t begin, int64_t count, int32_t* out) const;

 private:
  void map();
  void parse(const std::string& tokenizer);

  std::string path_;
  ShardHeader header_;
  const unsigned char* bytes_ = nullptr;
  int64_t size_ = 0;
  const unsigned char* ids_ = nullptr;
  const uint64_t* offsets_ = nullptr;
};

// How many times each id of the vocabulary occurs.
std::vector<int64_t> count_tokens(const TokenShard& shard);

// The fixed part of the layout.
inline constexpr char shard_magic[9] = "LETHETOK";
inline constexpr int64_t shard_header_bytes = 4096;

}  // namespace lethe
