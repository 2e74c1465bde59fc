#include "tools/hub/checksum.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "engine/error.h"

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
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto require = [&](int done) {
    if (done != 1) throw RunError(path + ": its checksum could not be computed");
  };
  require(EVP_DigestInit_ex(context.get(), git ? EVP_sha1() : EVP_sha256(), nullptr));
  if (git) {
    // Git hashes a blob with its kind and size before it, and a NUL between.
    const std::string header = fmt::format("blob {}", std::filesystem::file_size(path));
    require(EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1));
  }
  std::vector<char> piece(1 << 20);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    require(EVP_DigestUpdate(context.get(), piece.data(), static_cast<size_t>(file.gcount())));
  }
  if (file.bad()) throw IoError(path, "reading failed");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  require(EVP_DigestFinal_ex(context.get(), digest.data(), &bytes));
  std::string text;
  for (unsigned int i = 0; i < bytes; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace lethe
