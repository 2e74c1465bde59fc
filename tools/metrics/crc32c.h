// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as TFRecord frames use it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lethe {

// Polynomial 0x1EDC6F41, reflected; initial value and final xor all ones. "123456789" gives 0xE3069283.
inline uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t remainder = byte;
      for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ (remainder & 1 ? 0x82F63B78u : 0u);
      entries[byte] = remainder;
    }
    return entries;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<uint8_t>(c)) & 0xFFu];
  return crc ^ 0xFFFFFFFFu;
}

// The mask TFRecord puts over a CRC, so that the CRC of bytes that hold CRCs stays meaningful.
inline uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

}  // namespace lethe
