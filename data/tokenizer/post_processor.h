// The "post_processor" of tokenizer.json: the ids put before and after those of a text.
#pragma once

#include <cstdint>
#include <vector>

#include "data/tokenizer/json.h"

namespace lethe {

struct SpecialFrame {
  std::vector<int32_t> before, after;
};

// Throws FormatError for a type that is not implemented or a template without exactly one text.
SpecialFrame make_special_frame(const JsonPlace& place);

}  // namespace lethe
