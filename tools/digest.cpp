#include "tools/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "engine/error.h"

namespace lethe {
namespace {

void require(int done) {
  if (done != 1) throw RunError("a checksum could not be computed");
}

}  // namespace

void Digest::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Digest::Digest(Kind kind) : context_(EVP_MD_CTX_new()) {
  require(EVP_DigestInit_ex(context_.get(), kind == Kind::sha1 ? EVP_sha1() : EVP_sha256(), nullptr));
}

void Digest::update(std::string_view bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  require(EVP_DigestFinal_ex(context_.get(), digest.data(), &bytes));
  std::string text;
  for (unsigned int i = 0; i < bytes; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256(std::string_view bytes) {
  Digest digest;
  digest.update(bytes);
  return digest.hex();
}

}  // namespace lethe
