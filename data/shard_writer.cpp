#include "data/shard_writer.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr size_t flush_bytes = size_t{1} << 20;
// The source is for people; a long list of paths must not outgrow the header's place.
constexpr size_t source_bytes = 1024;

std::string shortened(const std::string& source) {
  return source.size() <= source_bytes ? source : source.substr(0, source_bytes) + "...";
}

}  // namespace

ShardWriter::ShardWriter(const std::string& path, ShardHeader header)
    : file_(path), header_(std::move(header)) {
  header_.tokens = header_.documents = 0;
  const std::vector<char> place(static_cast<size_t>(shard_header_bytes), 0);
  file_.write(place.data(), place.size());
}

void ShardWriter::append(std::span<const int32_t> ids, std::span<const uint8_t> supervised) {
  if (ids.empty()) throw DataError("a document without tokens cannot be stored");
  if (header_.masked && supervised.size() != ids.size()) {
    throw DataError(fmt::format("{} tokens with a mask of {}", ids.size(), supervised.size()));
  }
  for (size_t i = 0; header_.masked && i < ids.size(); ++i) {
    const auto token = static_cast<size_t>(header_.tokens) + i;
    if (token / 8 == mask_.size()) mask_.push_back(0);
    if (supervised[i]) mask_[token / 8] = static_cast<unsigned char>(mask_[token / 8] | (1u << (token % 8)));
  }
  const size_t width = header_.wide() ? 4 : 2;
  for (const int32_t id : ids) {
    if (id < 0 || id >= header_.vocab_size) {
      throw DataError(fmt::format("token id {} is outside the vocabulary of {}", id, header_.vocab_size));
    }
    // The low bytes come first on every machine that we build for.
    const auto* bytes = reinterpret_cast<const unsigned char*>(&id);
    pending_.insert(pending_.end(), bytes, bytes + width);
    if (pending_.size() >= flush_bytes) flush();
  }
  header_.tokens += std::ssize(ids);
  ++header_.documents;
  offsets_.push_back(static_cast<uint64_t>(header_.tokens));
}

void ShardWriter::flush() {
  file_.write(pending_.data(), pending_.size());
  pending_.clear();
}

void ShardWriter::commit() {
  flush();
  const std::vector<char> zeros(static_cast<size_t>((8 - file_.size() % 8) % 8), 0);
  file_.write(zeros.data(), zeros.size());
  file_.write(offsets_.data(), offsets_.size() * sizeof(uint64_t));
  mask_.resize((mask_.size() + 7) / 8 * 8);
  file_.write(mask_.data(), mask_.size());

  nlohmann::json json = {{"format", header_.masked ? 2 : 1},
                         {"tokenizer", header_.tokenizer},
                         {"vocab_size", header_.vocab_size},
                         {"tokens", header_.tokens},
                         {"documents", header_.documents},
                         {"source", shortened(header_.source)},
                         {"key", header_.key}};
  if (header_.masked) {
    json["dropped"] = header_.dropped;
    json["dropped_tokens"] = header_.dropped_tokens;
    json["cut"] = header_.cut;
    json["cut_tokens"] = header_.cut_tokens;
  }
  // A path need not be UTF-8, and a cut may fall inside a character.
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const uint64_t length = text.size();
  file_.write_at(0, shard_magic, 8);
  file_.write_at(8, &length, sizeof length);
  file_.write_at(16, text.data(), text.size());
  file_.commit();
}

}  // namespace lethe
