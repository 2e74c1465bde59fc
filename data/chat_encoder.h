// Conversations as token ids, with the part that a model is to learn marked.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/chat_template.h"
#include "data/tokenizer.h"

namespace lethe {

struct EncodedDocument {
  std::vector<int32_t> ids;
  std::vector<uint8_t> supervised;  // for each id whether it is a target; empty: all are
};

enum class ChatLoss {
  responses,  // what the assistant says, the end of its turns included
  all,        // every token
};

// The tokens are those of inference: a prompt gets the ids that it has by itself, and a response goes on from
// there, so that no token lies across the border. Text between two tokens of the template is otherwise
// tokenized together. The loss asked for changes no id.
class ChatEncoder {
 public:
  // Throws ConfigError when the tokenizer lacks a token that the template writes. add_bos: see
  // ChatTemplate::takes_bos(). The tokenizer must outlive this.
  ChatEncoder(ChatTemplate chat, const Tokenizer& tokenizer, bool add_bos = true);

  // A whole conversation. Throws DataError: a form the template has not, a message that holds one of its
  // special tokens, two BOS at the beginning.
  EncodedDocument encode(const std::vector<Message>& messages, ChatLoss loss) const;
  // A conversation that ends with a user's message, up to where the assistant's content begins.
  std::vector<int32_t> encode_prompt(const std::vector<Message>& messages) const;

  // The tokens that end an assistant's turn, one of which a trained model stops at; may be empty.
  const std::vector<int32_t>& end_ids() const { return end_ids_; }
  const ChatTemplate& chat() const { return chat_; }
  bool add_bos() const { return add_bos_; }

 private:
  struct Stretch {
    std::string text;
    bool response;
  };

  int32_t id_of(const std::string& token) const;
  void append_text(const std::vector<Stretch>& run, EncodedDocument& out) const;  // after what `out` holds
  std::vector<int32_t> continuation(const std::string& text) const;
  EncodedDocument encode_parts(std::vector<ChatPart> parts) const;

  ChatTemplate chat_;
  const Tokenizer* tokenizer_;
  bool add_bos_;
  std::map<std::string, int32_t> tokens_;  // {bos}, {eos} and special tokens that the tokenizer has
  std::vector<std::string> written_;       // of content_tokens(): tokens as they are written in messages
  std::vector<int32_t> end_ids_;
  bool adds_prefix_ = false;  // the tokenizer puts something before a text, as SentencePiece its space,
  bool connects_ = false;     // but not before one that follows a special token
};

}  // namespace lethe
