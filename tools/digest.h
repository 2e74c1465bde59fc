// Digests of bytes, in lower-case hexadecimal.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace lethe {

class Digest {
 public:
  enum class Kind { sha1, sha256 };
  // Throws RunError if OpenSSL lacks the kind.
  explicit Digest(Kind kind = Kind::sha256);

  void update(std::string_view bytes);
  // Nothing may follow.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256(std::string_view bytes);

}  // namespace lethe
