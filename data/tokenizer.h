// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lethe {

struct EncodeOptions {
  // What the tokenizer itself puts around a text: BOS for Llama, nothing for Qwen.
  bool add_special_tokens = false;
  // Special tokens written in the text ("<|im_end|>") become their ids. Without it they are plain text, which
  // is what text of unknown origin wants.
  bool parse_special = false;
  // A character that a vocabulary without an unknown token cannot express is left out instead of refused, as
  // the reference library does.
  bool drop_unknown = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of a text. Safe from several threads. Throws DataError when the text is not UTF-8 or holds what
  // the vocabulary cannot express.
  virtual std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  // The text of ids; special tokens such as BOS and EOS are silent unless `skip_special` is false. Throws
  // DataError for an id outside the vocabulary.
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special = true) const = 0;

  // One more than the largest id.
  virtual int64_t vocab_size() const = 0;
  // -1: the tokenizer has none.
  virtual int32_t bos_id() const = 0;
  virtual int32_t eos_id() const = 0;
  virtual int32_t unk_id() const = 0;
  virtual int32_t pad_id() const = 0;
  // What add_special_tokens puts before and after a text.
  virtual std::vector<int32_t> prefix_ids() const = 0;
  virtual std::vector<int32_t> suffix_ids() const = 0;

  // The piece as the vocabulary writes it ("▁the", "<0x0A>", "Ġthe"); empty for an id that the vocabulary
  // leaves out. Throws DataError for an id outside the vocabulary.
  virtual std::string piece(int32_t id) const = 0;
  // The id of such a piece or special token, -1 when there is none.
  virtual int32_t piece_id(std::string_view piece) const = 0;
  // Whether decoding is silent about it. Throws DataError for an id outside the vocabulary.
  virtual bool is_special(int32_t id) const = 0;

  // Equal for equal vocabularies and rules: what token shards and checkpoints are held against.
  virtual std::string fingerprint() const = 0;
  // Writes the files that open_tokenizer reads this tokenizer back from. Throws IoError.
  virtual void save(const std::string& folder) const = 0;
};

// The tokenizer at `path`: a tokenizer.json, a tokenizer.model, or a folder that holds one of them (the
// former where there are both) and perhaps a tokenizer_config.json, which names BOS, EOS and the like. Throws
// DataError when there is no such file, FormatError when it is no tokenizer or asks for a component that is
// not implemented.
std::unique_ptr<Tokenizer> open_tokenizer(const std::string& path);

// A SentencePiece model from `path`, a tokenizer.model or a folder that holds one. Throws DataError when
// there is no such file, FormatError when it is not a SentencePiece model. Encoding then decoding gives the
// text back when the model has byte fallback and neither normalises nor removes white space, except that
// U+2581, which SentencePiece uses for a space, comes back as one.
std::unique_ptr<Tokenizer> load_sentencepiece(const std::string& path);

}  // namespace lethe
