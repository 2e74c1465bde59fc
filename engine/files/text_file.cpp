#include "engine/files/text_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/error.h"

namespace lethe {

std::string read_text(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) throw FormatError(path, "", "is a folder, not a file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw FormatError(path, "", fmt::format("cannot be opened: {}", std::strerror(errno)));
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad()) throw FormatError(path, "", "cannot be read");
  return text;
}

}  // namespace lethe
