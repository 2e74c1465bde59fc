// What lies beside a model's weights and is no part of its arithmetic, but without which nobody can use it.
#pragma once

#include <string>
#include <vector>

namespace lethe {

// The files of that kind: the tokenizer's, generation_config.json and the chat template.
const std::vector<std::string>& side_file_names();

// Copies those that `from` holds, and the folder additional_chat_templates, into `to`, which is there; files
// of those names there are replaced. Nothing happens if both are the same folder. Throws IoError.
void copy_side_files(const std::string& from, const std::string& to);

}  // namespace lethe
