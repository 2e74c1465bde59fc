// JSON as Lethe takes it from a model's folder: strict, and every error names the file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/files/text_file.h"

namespace lethe {

// Throws FormatError, naming `file`, for text that is not one JSON value in valid UTF-8, for a NUL byte and
// for an object that has a key twice.
nlohmann::json parse_json(const std::string& file, std::string_view text);

// A value as it may stand in a message: its JSON text, cut after some 60 characters.
std::string short_text(const nlohmann::json& value);

}  // namespace lethe
