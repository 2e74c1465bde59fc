// Which piece is BOS, EOS, padding or unknown: what tokenizer_config.json says beside a vocabulary.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace lethe {

struct TokenizerRoles {
  std::string file;  // for errors
  // The piece of each role; nothing where the file is silent.
  std::optional<std::string> bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos;
  // Whether each stretch of text after a special token begins as if after a space (Llama's first tokenizers).
  std::optional<bool> legacy;
  std::string tokenizer_class;
  std::map<std::string, int32_t> added;  // added_tokens_decoder: piece to id
  std::string text;                      // the file as it was read, if it was
};

// FOLDER/tokenizer_config.json, or nothing said where there is none. Throws FormatError.
TokenizerRoles read_roles(const std::string& folder);

// FOLDER/tokenizer_config.json: the file that was read, or a new one of what is said. Throws IoError.
void write_roles(const TokenizerRoles& roles, const std::string& folder);

}  // namespace lethe
