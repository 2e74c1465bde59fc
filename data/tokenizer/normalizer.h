// The "normalizer" of tokenizer.json: what changes text before it is cut.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "data/tokenizer/json.h"

namespace lethe {

using Normalizer = std::function<std::string(std::string_view)>;

// Empty for null. Throws FormatError for a type that is not implemented.
Normalizer make_normalizer(const JsonPlace& place);

}  // namespace lethe
