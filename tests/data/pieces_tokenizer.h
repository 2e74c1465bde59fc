// Tokenizers made by hand, whose merges a test can see.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "engine/error.h"

namespace lethe {

// The longest piece first from left to right; bytes that no piece begins with are ids of their own, after the
// pieces. `prefix` goes before every text, as SentencePiece's space does.
class PiecesTokenizer final : public Tokenizer {
 public:
  explicit PiecesTokenizer(std::vector<std::string> pieces, std::string prefix = "", int32_t bos = 0,
                           int32_t eos = 1)
      : pieces_(std::move(pieces)), prefix_(std::move(prefix)), bos_(bos), eos_(eos) {}

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions&) const override {
    if (text.empty()) return {};
    std::string left = prefix_ + std::string(text);
    std::vector<int32_t> ids;
    while (!left.empty()) {
      int32_t best = -1;
      for (int32_t id = 2; id < std::ssize(pieces_); ++id) {  // BOS and EOS are no text
        const bool longer = best < 0 || pieces_[id].size() > pieces_[best].size();
        if (left.starts_with(pieces_[id]) && longer) best = id;
      }
      const size_t length = best < 0 ? 1 : pieces_[best].size();
      ids.push_back(best < 0 ? static_cast<int32_t>(pieces_.size()) + static_cast<unsigned char>(left[0])
                             : best);
      left.erase(0, length);
    }
    return ids;
  }
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override {
    std::string text;
    for (const int32_t id : ids) text += skip_special && is_special(id) ? "" : piece(id);
    return text.starts_with(prefix_) ? text.substr(prefix_.size()) : text;
  }
  int64_t vocab_size() const override { return std::ssize(pieces_) + 256; }
  int32_t bos_id() const override { return bos_; }
  int32_t eos_id() const override { return eos_; }
  int32_t unk_id() const override { return -1; }
  int32_t pad_id() const override { return -1; }
  std::vector<int32_t> prefix_ids() const override {
    return bos_ < 0 ? std::vector<int32_t>{} : std::vector<int32_t>{bos_};
  }
  std::vector<int32_t> suffix_ids() const override { return {}; }
  int32_t piece_id(std::string_view piece) const override {
    const auto found = std::find(pieces_.begin(), pieces_.end(), piece);
    return found == pieces_.end() ? -1 : static_cast<int32_t>(found - pieces_.begin());
  }
  bool is_special(int32_t id) const override { return id == bos_ || id == eos_; }
  void save(const std::string&) const override {}
  std::string piece(int32_t id) const override {
    if (id < 0 || id >= vocab_size()) throw DataError("no such id");
    const auto plain = static_cast<int32_t>(pieces_.size());
    return id < plain ? pieces_[id] : std::string(1, static_cast<char>(id - plain));
  }
  std::string fingerprint() const override { return "pieces"; }

  // The pieces of ids, for comparing.
  std::vector<std::string> names(const std::vector<int32_t>& ids) const {
    std::vector<std::string> found;
    for (const int32_t id : ids) found.push_back(piece(id));
    return found;
  }

 private:
  std::vector<std::string> pieces_;
  std::string prefix_;
  int32_t bos_, eos_;
};

}  // namespace lethe
