// A set of instructions as token shards, with the part to be learned marked.
#pragma once

#include <string>

#include "data/chat_encoder.h"
#include "data/instructions.h"
#include "data/shards.h"

namespace lethe {

// What becomes of an example of more tokens than a sequence has.
enum class TooLong {
  refuse,  // the request is refused, with the number of such examples
  drop,    // the example is left out
  cut,     // its first tokens stay; if none of those is a target, it is left out
};

struct InstructionShardOptions {
  InstructionOptions records;
  ChatLoss loss = ChatLoss::responses;
  TooLong too_long = TooLong::refuse;
  int64_t most_tokens = 0;  // of an example: the length of a sequence
  double held_out = 0.0;    // see ShardOptions
  uint64_t seed = 0;
};

// As build_shards, over the records of the corpus's files; each record is a document. What was left out and
// cut is counted in the headers of the training shard. Throws what build_shards and visit_conversations
// throw, FormatError naming file and line for a conversation that the template has no form for, and
// DataError that shows the example: one without a target, a set none of whose examples ends with a target
// that ends a turn, examples too long under TooLong::refuse.
ShardSet build_instruction_shards(const Corpus& corpus, const ChatEncoder& encoder,
                                  const Tokenizer& tokenizer, const std::string& directory,
                                  const InstructionShardOptions& options, const ShardProgress& progress = {});

// The text of a document for people, what is learned between [[ and ]], cut in its middle to about `most`
// bytes.
std::string example_text(const Tokenizer& tokenizer, const EncodedDocument& document, size_t most = 600);

// "refuse", "drop" or "cut"; throws ConfigError(key) otherwise.
TooLong too_long_from(const std::string& key, const std::string& name);

}  // namespace lethe
