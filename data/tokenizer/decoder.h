// The "decoder" of tokenizer.json: from pieces back to text.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/json.h"

namespace lethe {

// Pieces to pieces; the text is what they give when joined.
using Decoder = std::function<std::vector<std::string>(std::vector<std::string>)>;

// Empty for null (the reference then joins pieces with spaces). Throws FormatError for a type that is not
// implemented.
Decoder make_decoder(const JsonPlace& place);

}  // namespace lethe
