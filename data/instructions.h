// Conversations out of JSON records in the shapes that data sets of instructions have.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/chat_template.h"
#include "data/corpus.h"

namespace lethe {

struct InstructionOptions {
  // auto: told by each record's keys. messages: {messages: [{role, content}]}. prompt: {prompt, response} or
  // {prompt, completion}. alpaca: {instruction, output}, maybe with input; "response" may stand for "output".
  // sharegpt: {conversations: [{from: human or gpt or system, value}]}. columns: prompt_key and response_key.
  std::string format = "auto";
  std::string prompt_key, response_key;
};

// The conversation of a record, not empty and ending with the assistant. Throws FormatError naming `file`,
// `line` and the key: no shape that is known, a value of another type, roles that do not take turns.
std::vector<Message> read_conversation(const nlohmann::json& record, const InstructionOptions& options,
                                       const std::string& file, int64_t line);

struct Conversation {
  std::vector<Message> messages;
  const SourceFile* file;  // lives as long as the corpus
  int64_t line = 1;
};

// Calls `visitor` for each record of the corpus's files, all of which are taken to hold records. Throws what
// visit_json_records and read_conversation throw, DataError naming the paths where there is no record at all.
void visit_conversations(const Corpus& corpus, const InstructionOptions& options,
                         const std::function<void(Conversation&&)>& visitor);

// Whether the first record of a JSON file is an instruction rather than a text: it has prompt_key where that
// is given, else no key `text_key`. false for a file of another kind.
bool holds_instructions(const std::string& path, const std::string& text_key,
                        const InstructionOptions& options);

}  // namespace lethe
