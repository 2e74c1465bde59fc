#include "data/instruction_shards.h"

#include <fmt/format.h>
#include <utf8.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include "data/shard_pair.h"
#include "data/text_file.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

std::string cache_key(const Corpus& corpus, const ChatEncoder& encoder, const Tokenizer& tokenizer,
                      const InstructionShardOptions& options) {
  std::string text =
      fmt::format("instructions 1 {} {} {} {} {} {} {} {} {} {} {}\n", tokenizer.fingerprint(),
                  encoder.chat().hash(), encoder.add_bos(), static_cast<int>(options.loss),
                  static_cast<int>(options.too_long), options.most_tokens, options.held_out, options.seed,
                  options.records.format, options.records.prompt_key, options.records.response_key);
  for (const SourceFile& file : corpus.files()) {
    text +=
        fmt::format("{}\n{} {}\n", std::filesystem::absolute(file.path).string(), file.size, file.modified);
  }
  return fmt::format("{:016x}", stream_of(text));
}

// What a conversation says: equal ones fall to the same side of the split.
std::string identity_of(const Conversation& conversation) {
  std::string text;
  for (const Message& m : conversation.messages) {
    text += fmt::format("{}\n{}\n{}\n", m.role, m.content, m.input);
  }
  return text;
}

size_t bytes_of(const Conversation& conversation) {
  size_t bytes = 0;
  for (const Message& m : conversation.messages) bytes += m.content.size() + m.input.size();
  return bytes;
}

// Looks at each example in order and passes on what can be trained on.
class Examiner {
 public:
  Examiner(ShardPair& shards, const ChatEncoder& encoder, const Tokenizer& tokenizer,
           const InstructionShardOptions& options)
      : shards_(shards),
        tokenizer_(tokenizer),
        options_(options),
        ends_(encoder.end_ids().begin(), encoder.end_ids().end()) {
    if (tokenizer.eos_id() >= 0) ends_.insert(tokenizer.eos_id());
  }

  void take(const Conversation& conversation, EncodedDocument&& document) {
    if (examples_++ == 0) first_ = document;
    const auto length = std::ssize(document.ids);
    if (!has_target(document)) {
      throw DataError(fmt::format("{}: no token of this example is a target:\n{}", place(conversation),
                                  example_text(tokenizer_, document)));
    }
    for (int64_t i = 0; i < length; ++i)
      ends_learned_ += document.supervised[i] && ends_.contains(document.ids[i]);
    if (length > options_.most_tokens) {
      if (options_.too_long == TooLong::refuse) return count_too_long(conversation, length);
      const int64_t most = options_.too_long == TooLong::cut ? options_.most_tokens : 0;
      document.ids.resize(static_cast<size_t>(most));
      document.supervised.resize(static_cast<size_t>(most));
      ShardHeader& counts = shards_.counts();
      if (!has_target(document)) {
        ++counts.dropped;
        counts.dropped_tokens += length;
        return;
      }
      ++counts.cut;
      counts.cut_tokens += length - most;
    }
    shards_.append(identity_of(conversation), document);
  }

  void finish() const {
    if (too_long_ > 0) {
      throw DataError(fmt::format(
          "{} of {} examples are longer than data.sequence_length of {} tokens, the longest, {}, has {}; "
          "data.too_long says what is to become of them: drop or cut",
          too_long_, examples_, options_.most_tokens, longest_place_, longest_));
    }
    if (ends_learned_ == 0) {
      throw DataError(fmt::format(
          "no target of the {} examples ends a turn, so that a model would not learn to stop; the template's "
          "assistant.suffix has neither {{eos}} nor a special token. The first example:\n{}",
          examples_, example_text(tokenizer_, first_)));
    }
  }

 private:
  static std::string place(const Conversation& conversation) {
    return conversation.file->path + ": " + at_line(conversation.line);
  }
  // The first token is nobody's label.
  static bool has_target(const EncodedDocument& document) {
    return std::find(document.supervised.begin() + (document.supervised.empty() ? 0 : 1),
                     document.supervised.end(), 1) != document.supervised.end();
  }
  void count_too_long(const Conversation& conversation, int64_t length) {
    ++too_long_;
    if (length <= longest_) return;
    longest_ = length;
    longest_place_ = place(conversation);
  }

  ShardPair& shards_;
  const Tokenizer& tokenizer_;
  const InstructionShardOptions& options_;
  std::set<int32_t> ends_;
  EncodedDocument first_;
  int64_t examples_ = 0, ends_learned_ = 0, too_long_ = 0, longest_ = 0;
  std::string longest_place_;
};

}  // namespace

std::string example_text(const Tokenizer& tokenizer, const EncodedDocument& document, size_t most) {
  std::string text;
  for (size_t begin = 0, end = 0; begin < document.ids.size(); begin = end) {
    while (end < document.ids.size() && document.supervised[end] == document.supervised[begin]) ++end;
    const auto run = std::span(document.ids).subspan(begin, end - begin);
    const std::string part = tokenizer.decode(run, /*skip_special=*/false);
    text += document.supervised[begin] ? "[[" + part + "]]" : part;
  }
  if (text.size() <= most) return text;
  std::string cut = text.substr(0, most / 2) + " ... " + text.substr(text.size() - most / 2);
  return utf8::replace_invalid(cut);
}

TooLong too_long_from(const std::string& key, const std::string& name) {
  if (name == "refuse") return TooLong::refuse;
  if (name == "drop") return TooLong::drop;
  if (name == "cut") return TooLong::cut;
  throw ConfigError(key, fmt::format("must be refuse, drop or cut, is \"{}\"", name));
}

ShardSet build_instruction_shards(const Corpus& corpus, const ChatEncoder& encoder,
                                  const Tokenizer& tokenizer, const std::string& directory,
                                  const InstructionShardOptions& options, const ShardProgress& progress) {
  const std::string key = cache_key(corpus, encoder, tokenizer, options);
  if (const auto found = ShardPair::find(directory, key, options.held_out > 0.0)) return *found;

  ShardHeader header;
  header.tokenizer = tokenizer.fingerprint();
  header.vocab_size = tokenizer.vocab_size();
  header.source = corpus.description();
  header.key = key;
  header.masked = true;
  ShardPair shards(directory, header, {.held_out = options.held_out, .seed = options.seed});
  Examiner examiner(shards, encoder, tokenizer, options);
  ParallelEncoder<Conversation> parallel(
      [&](const Conversation& conversation) {
        try {
          return encoder.encode(conversation.messages, options.loss);
        } catch (const DataError& error) {
          throw FormatError(conversation.file->path, at_line(conversation.line), error.what());
        }
      },
      [&](const Conversation& conversation, EncodedDocument&& document) {
        examiner.take(conversation, std::move(document));
      });
  int64_t bytes = 0, told = 0;
  visit_conversations(corpus, options.records, [&](Conversation&& conversation) {
    const size_t size = bytes_of(conversation);
    bytes += static_cast<int64_t>(size);
    parallel.add(std::move(conversation), size);
    if (progress && bytes - told >= (int64_t{1} << 20)) progress(told = bytes);
  });
  parallel.flush();
  if (progress) progress(bytes);
  examiner.finish();
  return shards.commit();
}

}  // namespace lethe
