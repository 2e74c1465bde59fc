// Every block type against what the Python package gguf computes, bit for bit (tests/golden/make_gguf.py).
#include "engine/files/ggml_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/files.h"

namespace lethe {
namespace {

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

nlohmann::json goldens() {
  return nlohmann::json::parse(test::read_bytes(LETHE_SOURCE_DIR "/tests/golden/gguf/blocks.json"));
}

TEST(GgmlBlocks, every_type_is_dequantised_bit_for_bit) {
  const nlohmann::json all = goldens();
  for (const auto& [name, golden] : all.items()) {
    if (name.starts_with("quantise")) continue;
    const auto type = static_cast<GgmlType>(golden.at("type").get<uint32_t>());
    EXPECT_EQ(name_of(type), name);
    const auto blocks = from_hex(golden.at("blocks")), expected = from_hex(golden.at("values"));
    ASSERT_EQ(static_cast<int64_t>(blocks.size()), 1024 / block_of(type).weights * block_of(type).bytes)
        << name;
    std::vector<float> values(1024);
    dequantise(type, blocks.data(), 1024, values.data());
    ASSERT_EQ(expected.size(), values.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0) << name;
  }
  EXPECT_EQ(all.size(), 8u);
}

TEST(GgmlBlocks, q8_0_is_quantised_bit_for_bit) {
  const nlohmann::json golden = goldens().at("quantise Q8_0");
  const auto values = from_hex(golden.at("values")), expected = from_hex(golden.at("blocks"));
  std::vector<float> x(values.size() / sizeof(float));
  std::memcpy(x.data(), values.data(), values.size());
  std::vector<std::byte> blocks(expected.size());
  EXPECT_EQ(quantise_q8_0(x.data(), static_cast<int64_t>(x.size()), blocks.data()), -1);
  EXPECT_EQ(blocks, expected);
  x[40] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(quantise_q8_0(x.data(), static_cast<int64_t>(x.size()), blocks.data()), 32);
  x[40] = 1e7f * 127;  // the scale is no half
  EXPECT_EQ(quantise_q8_0(x.data(), static_cast<int64_t>(x.size()), blocks.data()), 32);
}

TEST(GgmlBlocks, other_types_are_named) {
  EXPECT_EQ(block_of(static_cast<GgmlType>(13)).bytes, 0);
  EXPECT_EQ(name_of(static_cast<GgmlType>(13)), "Q5_K");
  EXPECT_EQ(name_of(static_cast<GgmlType>(4711)), "type 4711");
}

}  // namespace
}  // namespace lethe
