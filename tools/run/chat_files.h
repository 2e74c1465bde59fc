// Where chat templates are kept: named in a configuration, and beside the model that was trained with one.
#pragma once

#include <optional>
#include <string>

#include "data/chat_template.h"

namespace lethe {

// A built-in template by its name, or one from a YAML or JSON file. Throws ConfigError("data.chat_template"),
// FormatError naming file and key.
ChatTemplate open_chat_template(const std::string& name_or_file);

// FOLDER/lethe_chat.json: the template and its hash. Throws IoError.
void write_chat_template(const std::string& folder, const ChatTemplate& chat);

// What write_chat_template wrote, nothing where it did not. Throws FormatError for a damaged file and for a
// hash that is not its template's.
std::optional<ChatTemplate> read_chat_template(const std::string& folder);

// The template to talk to the model of `folder` with: `asked` (a name or file, may be empty), which must be
// the one that the model was trained with where that is known. Throws ConfigError("chat_template") where
// the two differ and where neither is there.
ChatTemplate chat_template_of(const std::string& folder, const std::string& asked);

}  // namespace lethe
