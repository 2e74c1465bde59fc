// Which keys of a config.json mean what to the reader.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lethe {

// A key that LlamaConfig holds.
bool is_model_key(std::string_view key);

// The one value (JSON) that a key may have because any other would change the arithmetic.
std::optional<std::string> required_value(std::string_view key);

// A key that changes no arithmetic of training or of logits, whatever its value.
bool is_harmless_key(std::string_view key);

}  // namespace lethe
