// A small file as a string.
#pragma once

#include <string>

namespace lethe {

// The whole file. Throws FormatError if it cannot be opened or read.
std::string read_text(const std::string& path);

}  // namespace lethe
