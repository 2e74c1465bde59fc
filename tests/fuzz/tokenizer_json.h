// Bytes as a tokenizer.json and, after a NUL, a text. Whatever they are, reading, encoding and decoding end
// in a result or in one of Lethe's errors, in bounded memory.
#pragma once

#include <string_view>

#include "data/tokenizer/json.h"
#include "data/tokenizer/pipeline.h"
#include "engine/error.h"

namespace lethe {

inline void run_tokenizer_json(std::string_view bytes) {
  const size_t end = std::min(bytes.find('\0'), bytes.size());
  const std::string_view text = bytes.substr(std::min(end + 1, bytes.size()));
  try {
    const auto tokenizer = make_pipeline(parse_json(bytes.substr(0, end), "input"), "input", {});
    for (const bool special : {false, true}) {
      const auto ids = tokenizer->encode(
          text, {.add_special_tokens = special, .parse_special = special, .drop_unknown = true});
      tokenizer->decode(ids, special);
    }
  } catch (const Error&) {
  }
}

}  // namespace lethe
