// A file of token ids, read through a memory map.
//
// Layout, little-endian: 8 bytes of magic, uint64 length of the JSON header, the header, zeros up to byte
// 4096; the ids (uint16 while vocab_size <= 65536, else uint32), zeros up to a multiple of 8; documents + 1
// uint64 offsets, where each document begins, counted in tokens, then the token count. A masked shard goes on
// with a bit for each token, the lowest of a byte first: whether it is a target.
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
  bool masked = false;
  // Of instructions: examples left out and examples shortened because they were too long, with their tokens.
  int64_t dropped = 0, dropped_tokens = 0, cut = 0, cut_tokens = 0;

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
  // Whether a token, 0 <= token < tokens(), is a target; all are where the shard is not masked.
  bool supervised(int64_t token) const {
    return mask_ == nullptr || ((mask_[token / 8] >> (token % 8)) & 1) != 0;
  }

 private:
  void map();
  void parse(const std::string& tokenizer);

  std::string path_;
  ShardHeader header_;
  const unsigned char* bytes_ = nullptr;
  int64_t size_ = 0;
  const unsigned char* ids_ = nullptr;
  const uint64_t* offsets_ = nullptr;
  const unsigned char* mask_ = nullptr;  // of masked shards
};

// How many times each id of the vocabulary occurs.
std::vector<int64_t> count_tokens(const TokenShard& shard);

// The fixed part of the layout.
inline constexpr char shard_magic[9] = "LETHETOK";
inline constexpr int64_t shard_header_bytes = 4096;

}  // namespace lethe
