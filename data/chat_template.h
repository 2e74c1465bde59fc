// How a conversation becomes the text that a model reads: which words and special tokens stand around each
// message. A template is a small table, not a program; docs/instructions.md shows how to write one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lethe {

struct Message {
  std::string role;  // system, user, assistant
  std::string content;
  std::string input = "";  // of a user's message: what Alpaca's records carry beside the instruction
};

// A stretch of rendered text. A token is one id whatever the tokenizer would make of its text: "{bos}",
// "{eos}", or one of the template's special tokens as it is written.
struct ChatPart {
  std::string text;
  bool token = false;
  bool response = false;  // what the assistant itself says: its content and the end of its turn
};

struct ChatTurn {
  std::string prefix, suffix;  // literals: may hold special tokens, {bos} and {eos}
};

class ChatTemplate {
 public:
  // The names of those built in: llama-2, llama-3, chatml, mistral, mistral-system, alpaca, metamath,
  // magicoder, plain.
  static std::vector<std::string> names();
  // Throws ConfigError("data.chat_template") naming those there are.
  static ChatTemplate built_in(const std::string& name);
  // A template from its JSON form, the keys of which are those of json(); "base" names a built-in template
  // whose keys are taken where none is given. `file` is for messages. Throws FormatError naming file and key.
  static ChatTemplate from_json(const nlohmann::json& json, const std::string& file);

  const std::string& name() const { return name_; }
  // The whole template; from_json gives it back.
  nlohmann::json json() const;
  // Of all that decides what is rendered and how it is tokenized, the name aside; 16 hexadecimal digits.
  std::string hash() const;

  // What must be one token of the tokenizer each.
  const std::vector<std::string>& special_tokens() const { return special_tokens_; }
  // Whether what a tokenizer puts before a text, its BOS, goes before one that does not begin with it.
  bool takes_bos() const { return takes_bos_; }
  // Whether a response is tokenized apart from what precedes it, as the set's authors did.
  bool separate() const { return separate_; }
  // Whether BOS, EOS and special tokens that are written out in a message count as tokens: for prompts that
  // were rendered before. Elsewhere a message is text and nothing else.
  bool content_tokens() const { return content_tokens_; }

  // With `generation_prompt` the last message is a user's and the text ends where the assistant's content
  // would begin. Throws DataError for a conversation that the template has no form for, saying why.
  std::vector<ChatPart> parts(const std::vector<Message>& messages, bool generation_prompt) const;
  // The same as one text, {bos} and {eos} written as given. Not for tokenizing: there a special token is an
  // id (see ChatEncoder), which no user's message can forge.
  std::string render(const std::vector<Message>& messages, bool generation_prompt, std::string_view bos,
                     std::string_view eos) const;

  bool operator==(const ChatTemplate& other) const { return hash() == other.hash(); }

 private:
  void require_form(const std::vector<Message>& messages, bool generation_prompt) const;

  std::string name_;
  std::vector<std::string> special_tokens_;
  std::string begin_;                        // literal before all
  std::optional<ChatTurn> system_;           // absent: a system message is refused
  ChatTurn user_, assistant_;                // assistant_.prefix is the generation prompt
  std::string lead_;                         // what the assistant itself says before its content
  std::optional<ChatTurn> user_with_input_;  // instead of user_ where a message has an input
  std::string before_input_ = "\n";
  std::optional<std::string> default_system_;
  bool fold_system_ = false;  // the system's text goes inside the first user's message
  bool trim_ = false;         // white space around contents goes, as Python's strip() has it
  bool alternate_ = false;    // user and assistant must take turns
  bool single_turn_ = false;  // one user's message and one answer
  bool first_line_ = false;   // a user's further lines are its input
  bool content_tokens_ = false, takes_bos_ = false, separate_ = false;
};

}  // namespace lethe
