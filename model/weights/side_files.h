// What lies beside a model's weights and is no part of its arithmetic, but without which nobody can use it.
#pragma once

#include <string>

namespace lethe {

// Copies the tokenizer's files, generation_config.json and chat templates that `from` holds into `to`, which
// is there; files of those names there are replaced. Nothing happens if both are the same folder. Throws
// IoError.
void copy_side_files(const std::string& from, const std::string& to);

}  // namespace lethe
