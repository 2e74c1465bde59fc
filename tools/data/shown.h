// Training sequences as people can read them: what is learned, what is only seen, where documents meet.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/token_shard.h"
#include "data/tokenizer.h"
#include "tools/run/run_data.h"

namespace lethe {

struct ShownPart {
  std::string text;
  bool learned = false;
  bool special = false;  // a token without text, such as EOS, by its name in the vocabulary
};

struct ShownDocument {
  int64_t tokens = 0, learned = 0;
  std::vector<ShownPart> parts;
};

struct ShownSequence {
  std::string title;  // "sequence 3, row 17 of train.jsonl"
  std::vector<ShownDocument> documents;
  int64_t padding = 0;
};

// A document of ids; learned[i] says whether ids[i] is a target.
ShownDocument show_document(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                            const std::vector<bool>& learned);
// The sequence that is dealt at a position of a run's order, from 0.
ShownSequence show_sequence(const RunData& data, const Loader& loader, uint64_t position);
// A document of the training sources, counted from 0 through all of them. Throws ConfigError("--example").
ShownSequence show_example(const RunData& data, int64_t index);

// For a terminal with `colours`: what is not learned is dim, special tokens are cyan. Without, what is
// learned stands between [[ and ]]. Control characters of the text are written out, so that it cannot steer a
// terminal.
std::string text_of(const ShownSequence& sequence, bool colours);
nlohmann::json json_of(const ShownSequence& sequence);

// What the training sources hold: documents, tokens, targets, sequences, how full those are, what was left
// out, and the shares they are mixed in.
std::string sources_text(const RunData& data);
nlohmann::json sources_json(const RunData& data);

}  // namespace lethe
