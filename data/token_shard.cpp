#include "data/token_shard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace lethe {
namespace {

template <class Id>
void copy_ids(const unsigned char* ids, int64_t begin, int64_t count, int64_t vocab_size,
              const std::string& path, int32_t* out) {
  const Id* from = reinterpret_cast<const Id*>(ids) + begin;
  for (int64_t i = 0; i < count; ++i) {
    if (from[i] >= vocab_size) {
      throw FormatError(path, fmt::format("token {}", begin + i),
                        fmt::format("id {} is outside the vocabulary of {}", from[i], vocab_size));
    }
    out[i] = static_cast<int32_t>(from[i]);
  }
}

ShardHeader parse_header(const std::string& path, const char* begin, uint64_t length) {
  try {
    const auto json = nlohmann::json::parse(begin, begin + length);
    if (json.at("format") != 1 && json.at("format") != 2) {
      throw FormatError(path, "header", "format 1 or 2 expected, found " + json.at("format").dump());
    }
    ShardHeader header;
    header.masked = json.at("format") == 2;
    header.tokenizer = json.at("tokenizer").get<std::string>();
    header.vocab_size = json.at("vocab_size").get<int64_t>();
    header.tokens = json.at("tokens").get<int64_t>();
    header.documents = json.at("documents").get<int64_t>();
    header.source = json.at("source").get<std::string>();
    header.key = json.at("key").get<std::string>();
    if (header.masked) {
      header.dropped = json.at("dropped").get<int64_t>();
      header.dropped_tokens = json.at("dropped_tokens").get<int64_t>();
      header.cut = json.at("cut").get<int64_t>();
      header.cut_tokens = json.at("cut_tokens").get<int64_t>();
    }
    return header;
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(path, "header", fmt::format("not the header of a token shard: {}", error.what()));
  }
}

}  // namespace

TokenShard::TokenShard(const std::string& path, const std::string& tokenizer) : path_(path) {
  map();
  try {
    parse(tokenizer);
  } catch (...) {
    ::munmap(const_cast<unsigned char*>(bytes_), static_cast<size_t>(size_));
    throw;
  }
}

TokenShard::~TokenShard() {
  ::munmap(const_cast<unsigned char*>(bytes_), static_cast<size_t>(size_));
}

void TokenShard::map() {
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) throw DataError(path_ + ": no such token shard");
  if (file < 0) throw IoError(path_, fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status {};
  const bool known = ::fstat(file, &status) == 0;
  size_ = status.st_size;
  if (!known || size_ < shard_header_bytes) {
    ::close(file);
    throw FormatError(
        path_, "",
        fmt::format("truncated: a token shard has {} bytes or more, this has {}", shard_header_bytes, size_));
  }
  void* mapped = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file, 0);
  const int why = errno;
  ::close(file);
  if (mapped == MAP_FAILED) throw IoError(path_, fmt::format("cannot be mapped: {}", std::strerror(why)));
  bytes_ = static_cast<const unsigned char*>(mapped);
}

void TokenShard::parse(const std::string& tokenizer) {
  if (std::memcmp(bytes_, shard_magic, 8) != 0) throw FormatError(path_, "", "not a token shard");
  uint64_t length = 0;
  std::memcpy(&length, bytes_ + 8, sizeof length);
  if (length > static_cast<uint64_t>(shard_header_bytes - 16)) {
    throw FormatError(path_, "header",
                      fmt::format("{} bytes long, at most {} fit", length, shard_header_bytes - 16));
  }
  header_ = parse_header(path_, reinterpret_cast<const char*>(bytes_) + 16, length);
  if (!tokenizer.empty() && tokenizer != header_.tokenizer) {
    throw DataError(
        fmt::format("{}: made with tokenizer {}, this is {}", path_, header_.tokenizer, tokenizer));
  }
  const int64_t width = header_.wide() ? 4 : 2;
  // Bounds first, so that the sum below cannot overflow.
  const bool sane = header_.vocab_size >= 1 && header_.tokens >= 0 && header_.tokens <= size_ &&
                    header_.documents >= 0 && header_.documents <= header_.tokens;
  const int64_t ids_bytes = sane ? (header_.tokens * width + 7) / 8 * 8 : 0;
  const int64_t mask_bytes = sane && header_.masked ? (header_.tokens + 63) / 64 * 8 : 0;
  const int64_t expected = shard_header_bytes + ids_bytes + 8 * (header_.documents + 1) + mask_bytes;
  if (!sane || expected != size_) {
    throw FormatError(
        path_, "header",
        fmt::format(
            "{} tokens of {} bytes and {} documents with vocab_size {} do not fit the file's {} bytes",
            header_.tokens, width, header_.documents, header_.vocab_size, size_));
  }
  ids_ = bytes_ + shard_header_bytes;
  offsets_ = reinterpret_cast<const uint64_t*>(ids_ + ids_bytes);
  if (header_.masked) mask_ = reinterpret_cast<const unsigned char*>(offsets_ + header_.documents + 1);
  if (offsets_[0] != 0 || offsets_[header_.documents] != static_cast<uint64_t>(header_.tokens)) {
    throw FormatError(path_, "document offsets", "they do not cover the tokens");
  }
  for (int64_t i = 0; i < header_.documents; ++i) {
    if (offsets_[i] >= offsets_[i + 1]) {
      throw FormatError(path_, fmt::format("document {}", i),
                        fmt::format("begins at token {}, the next at {}", offsets_[i], offsets_[i + 1]));
    }
  }
}

int64_t TokenShard::document_of(int64_t token) const {
  const uint64_t* past = std::upper_bound(offsets_, offsets_ + documents() + 1, static_cast<uint64_t>(token));
  return past - offsets_ - 1;
}

void TokenShard::read(int64_t begin, int64_t count, int32_t* out) const {
  if (header_.wide()) {
    copy_ids<uint32_t>(ids_, begin, count, header_.vocab_size, path_, out);
  } else {
    copy_ids<uint16_t>(ids_, begin, count, header_.vocab_size, path_, out);
  }
}

std::vector<int64_t> count_tokens(const TokenShard& shard) {
  std::vector<int64_t> counts(static_cast<size_t>(shard.header().vocab_size), 0);
  std::vector<int32_t> ids(65536);
  for (int64_t begin = 0; begin < shard.tokens(); begin += std::ssize(ids)) {
    const int64_t count = std::min<int64_t>(std::ssize(ids), shard.tokens() - begin);
    shard.read(begin, count, ids.data());
    for (int64_t i = 0; i < count; ++i) ++counts[ids[i]];
  }
  return counts;
}

}  // namespace lethe
