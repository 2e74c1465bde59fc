// What a tokenizer.json describes: added tokens, normaliser, pre-tokenizer, BPE, post-processor, decoder.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/tokenizer.h"
#include "data/tokenizer/roles.h"

namespace lethe {

// `name` stands in errors. Throws FormatError naming the key of what is wrong or not implemented.
std::unique_ptr<Tokenizer> make_pipeline(const nlohmann::json& document, const std::string& name,
                                         const TokenizerRoles& roles);

}  // namespace lethe
