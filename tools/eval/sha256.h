// SHA-256 (FIPS 180-4): the harnesses name prompts by it. Not for secrets.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lethe::eval {

class Sha256 {
 public:
  void update(std::string_view bytes);
  // Lower-case hexadecimal; nothing may follow.
  std::string hex();

 private:
  void block(const unsigned char* bytes);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::string rest_;  // less than a block
  uint64_t bytes_ = 0;
};

std::string sha256(std::string_view bytes);

}  // namespace lethe::eval
