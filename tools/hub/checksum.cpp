#include "tools/hub/checksum.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "engine/error.h"
#include "tools/digest.h"

namespace lethe {
namespace {

constexpr size_t git_digits = 40, sha256_digits = 64;

}  // namespace

bool is_checksum(const std::string& etag) {
  return (etag.size() == git_digits || etag.size() == sha256_digits) &&
         std::ranges::all_of(etag, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string checksum_like(const std::string& etag, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw IoError(path, "cannot be read");
  const bool git = etag.size() == git_digits;
  Digest digest(git ? Digest::Kind::sha1 : Digest::Kind::sha256);
  // Git hashes a blob with its kind and size before it, and a NUL between.
  if (git) digest.update(fmt::format("blob {}", std::filesystem::file_size(path)) + '\0');
  std::vector<char> piece(1 << 20);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    digest.update({piece.data(), static_cast<size_t>(file.gcount())});
  }
  if (file.bad()) throw IoError(path, "reading failed");
  return digest.hex();
}

}  // namespace lethe
