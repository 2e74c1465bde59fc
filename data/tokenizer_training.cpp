#include "data/tokenizer_training.h"

#include <fmt/format.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <unordered_map>

#include "data/atomic_file.h"
#include "engine/error.h"

namespace lethe {
namespace {

constexpr size_t chunk_bytes = 4096;

// Cuts a document into chunks that the trainer counts pieces in, at line ends where there is one.
template <class Take>
void cut(std::string_view text, const Take& take) {
  while (text.size() > chunk_bytes) {
    size_t end = text.rfind('\n', chunk_bytes - 1);
    end = end == std::string_view::npos ? text.rfind(' ', chunk_bytes - 1) : end;
    end = end == std::string_view::npos || end == 0 ? chunk_bytes : end + 1;
    // Never inside a UTF-8 sequence.
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) ++end;
    take(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!text.empty()) take(text);
}

std::vector<std::string> chunks_of(const std::vector<Corpus>& corpora, int64_t max_bytes) {
  int64_t total = 0;
  for (const Corpus& corpus : corpora) total += corpus.visit([](Document&&) {}).bytes;
  const double kept = std::min(1.0, static_cast<double>(max_bytes) / static_cast<double>(total));

  std::vector<std::string> chunks;
  double due = 0.0;
  for (const Corpus& corpus : corpora) {
    corpus.visit([&](Document&& document) {
      cut(document.text, [&](std::string_view chunk) {
        due += kept;
        if (due < 1.0) return;
        due -= 1.0;
        std::string& text = chunks.emplace_back(chunk);
        // A tab is the trainer's own mark for a place that no piece may cross; both characters are then left
        // to byte fallback.
        std::replace(text.begin(), text.end(), '\n', '\t');
      });
    });
  }
  return chunks;
}

class Chunks final : public sentencepiece::SentenceIterator {
 public:
  explicit Chunks(const std::vector<std::string>& chunks) : chunks_(chunks) {}
  bool done() const override { return next_ == chunks_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return chunks_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& chunks_;
  size_t next_ = 0;
};

void check(const TokenizerTraining& options) {
  if (options.model_type != "bpe" && options.model_type != "unigram") {
    throw ConfigError("tokenizer.model_type",
                      fmt::format("must be bpe or unigram, is \"{}\"", options.model_type));
  }
  const int64_t least = options.byte_fallback ? 260 : 4;
  if (options.vocab_size < least || options.vocab_size > 1000000) {
    throw ConfigError("tokenizer.vocab_size",
                      fmt::format("must be from {} (3 control pieces{} and one more) to 1000000, is {}",
                                  least, options.byte_fallback ? ", 256 bytes" : "", options.vocab_size));
  }
  if (!(options.character_coverage > 0.9 && options.character_coverage <= 1.0)) {
    throw ConfigError("tokenizer.character_coverage",
                      fmt::format("must be above 0.9 and at most 1, is {}", options.character_coverage));
  }
  if (options.max_bytes < 1) {
    throw ConfigError("tokenizer.max_bytes", fmt::format("must be above 0, is {}", options.max_bytes));
  }
}

// The library's message without the place in its own source and the condition that it begins with.
std::string reason(const std::string& message) {
  const size_t end = message.rfind("] ");
  return end == std::string::npos ? message : message.substr(end + 2);
}

}  // namespace

void train_sentencepiece(const std::vector<Corpus>& corpora, const TokenizerTraining& options,
                         const std::string& path) {
  check(options);
  if (corpora.empty()) throw DataError("no corpus to learn a tokenizer from");
  const std::vector<std::string> chunks = chunks_of(corpora, options.max_bytes);
  const std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options.model_type},
      {"vocab_size", std::to_string(options.vocab_size)},
      {"byte_fallback", options.byte_fallback ? "true" : "false"},
      {"character_coverage", fmt::format("{}", options.character_coverage)},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"split_digits", "true"},
      {"max_sentence_length", std::to_string(2 * chunk_bytes)},
      // Frequencies are summed in one order only when there is one thread.
      {"num_threads", "1"},
      // Errors come back as a status; the library's progress is not for our terminal.
      {"minloglevel", "3"},
  };
  Chunks iterator(chunks);
  std::string model;
  sentencepiece::SetRandomGeneratorSeed(1);
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &model);
  if (!status.ok()) {
    throw DataError(fmt::format("a {} tokenizer with vocab_size {} cannot be learned from this text: {}",
                                options.model_type, options.vocab_size, reason(status.message())));
  }
  AtomicFile file(path);
  file.write(model.data(), model.size());
  file.commit();
}

}  // namespace lethe
