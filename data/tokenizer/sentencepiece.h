// The SentencePiece library behind the Tokenizer interface.
#pragma once

#include <memory>
#include <string>

#include "data/tokenizer.h"
#include "data/tokenizer/roles.h"

namespace lethe {

// `model`: the bytes of a tokenizer.model, `name` stands in errors. Throws FormatError.
std::unique_ptr<Tokenizer> make_sentencepiece(std::string model, const std::string& name,
                                              const TokenizerRoles& roles);

}  // namespace lethe
