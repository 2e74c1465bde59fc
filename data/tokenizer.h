// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lethe {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of a text, without BOS or EOS. Safe from several threads. Throws DataError when the text is not
  // UTF-8.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // The text of ids; control ids such as BOS and EOS are silent. Throws DataError for an id outside the
  // vocabulary.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  virtual int64_t vocab_size() const = 0;
  // -1: the tokenizer has none.
  virtual int32_t bos_id() const = 0;
  virtual int32_t eos_id() const = 0;
  // The piece as the vocabulary writes it ("▁the", "<0x0A>"). Throws DataError for an id outside the
  // vocabulary.
  virtual std::string piece(int32_t id) const = 0;
  // Equal for equal vocabularies and rules: what token shards and checkpoints are held against.
  virtual std::string fingerprint() const = 0;
};

// A SentencePiece model from `path`, a tokenizer.model or a folder that holds one. Throws DataError when
// there is no such file, FormatError when it is not a SentencePiece model. Encoding then decoding gives the
// text back when the model has byte fallback and neither normalises nor removes white space, except that
// U+2581, which SentencePiece uses for a space, comes back as one.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path);

}  // namespace lethe
