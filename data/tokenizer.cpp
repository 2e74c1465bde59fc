#include "data/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <utf8.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw DataError(path + ": no such tokenizer model, or it cannot be read");
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto status = processor_.LoadFromSerializedProto(bytes);
    if (!status.ok() || processor_.GetPieceSize() == 0) {
      throw FormatError(path, "", fmt::format("not a SentencePiece model ({} bytes)", bytes.size()));
    }
    fingerprint_ = fmt::format("sentencepiece-{:016x}", stream_of(bytes));
  }

  std::vector<int32_t> encode(std::string_view text) const override {
    if (!utf8::is_valid(text.begin(), text.end())) {
      throw DataError(fmt::format("text of {} bytes to encode is not valid UTF-8", text.size()));
    }
    std::vector<int> ids;
    const auto status = processor_.Encode(absl::string_view(text.data(), text.size()), &ids);
    if (!status.ok()) throw DataError(fmt::format("text cannot be encoded: {}", status.message()));
    return ids;
  }

  std::string decode(std::span<const int32_t> ids) const override {
    for (const int32_t id : ids) check(id);
    std::string text;
    const auto status = processor_.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
    if (!status.ok()) throw DataError(fmt::format("ids cannot be decoded: {}", status.message()));
    return text;
  }

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  int32_t bos_id() const override { return processor_.bos_id(); }
  int32_t eos_id() const override { return processor_.eos_id(); }
  std::string fingerprint() const override { return fingerprint_; }

  std::string piece(int32_t id) const override {
    check(id);
    return processor_.IdToPiece(id);
  }

 private:
  void check(int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
      throw DataError(fmt::format("token id {} is outside the vocabulary of {}", id, vocab_size()));
    }
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path file = fs::is_directory(path) ? fs::path(path) / "tokenizer.model" : fs::path(path);
  return std::make_unique<SentencePieceTokenizer>(file.string());
}

}  // namespace lethe
