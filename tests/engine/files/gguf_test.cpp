// The GGUF reader: a file of every kind of value, and hostile ones, each refused by name.
#include "engine/files/gguf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/files.h"
#include "tests/gguf_bytes.h"

namespace lethe {
namespace {

using test::expect_parts;
using test::Folder;
using test::GgufBytes;
using test::message_of;
using test::write_text;

TEST(GgufFile, every_kind_of_value_is_read) {
  const Folder folder;
  GgufBytes b;
  b.header(3, 1, 8);
  b.key("u8", 0).put(uint8_t{200});
  b.key("i32", 5).put(int32_t{-7});
  b.key("f32", 6).put(0.5f);
  b.key("flag", 7).put(uint8_t{1});
  b.key("text", 8).text("a");
  b.key("texts", 9).put(uint32_t{8}).put(uint64_t{2}).text("x").text("");
  b.key("layers", 9).put(uint32_t{4}).put(uint64_t{2}).put(uint32_t{3}).put(uint32_t{3});
  b.key("f64", 12).put(1.25);
  b.tensor("w", {32, 2}, 0, 0).pad(32).zeros(256);
  const GgufFile file(write_text(folder / "f.gguf", b.bytes));
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i32"), -7);
  EXPECT_EQ(file.real("f32"), 0.5);
  EXPECT_EQ(file.real("f64"), 1.25);
  EXPECT_EQ(file.flag("flag"), true);
  EXPECT_EQ(file.text("text"), "a");
  EXPECT_EQ(file.texts("texts"), (std::vector<std::string>{"x", ""}));
  EXPECT_EQ(file.same_integer("layers"), 3);
  EXPECT_EQ(file.integer("absent"), std::nullopt);
  EXPECT_EQ(file.tensors().at(0).shape, (Shape{2, 32}));
  EXPECT_EQ(file.bytes(file.tensors()[0]).size(), 256u);
  expect_parts(message_of<FormatError>([&] { file.text("u8"); }), {"u8", "text"});
}

TEST(GgufFile, hostile_files_are_refused_before_anything_is_allocated) {
  const Folder folder;
  const uint64_t huge = ~uint64_t{0};
  const auto refused = [&](const GgufBytes& b, const std::vector<std::string>& parts) {
    const std::string path = write_text(folder / "bad.gguf", b.bytes);
    expect_parts(message_of<FormatError>([&] { GgufFile file(path); }), parts);
  };
  const auto with = [](uint64_t tensors, uint64_t keys) { return GgufBytes().header(3, tensors, keys); };
  refused(GgufBytes(), {"no GGUF file"});
  refused(GgufBytes().header(1, 0, 0), {"version", "1"});
  refused(GgufBytes().header(3 << 24, 0, 0), {"big-endian"});
  refused(with(0, huge), {"key count"});
  refused(with(huge, 0), {"tensor count"});
  refused(with(0, 1).put(huge).zeros(64), {"the keys", "18446744073709551615"});
  refused(with(0, 1).key("k", 8).put(huge).zeros(64), {"k: "});
  refused(with(0, 1).key("k", 8).put(uint64_t{65}).zeros(64), {"k: ", "65"});
  refused(with(0, 1).key("k", 13).zeros(64), {"k: ", "13 is no type"});
  refused(with(0, 1).key("k", 7).put(uint8_t{2}).zeros(64), {"k: ", "neither"});
  refused(with(0, 1).key("k", 9).put(uint32_t{9}).put(uint64_t{1}).zeros(64), {"k: ", "list of lists"});
  refused(with(0, 1).key("k", 9).put(uint32_t{12}).put(uint64_t{1} << 61).zeros(64), {"k: ", "do not fit"});
  refused(with(0, 1).key("k", 9).put(uint32_t{8}).put(uint64_t{9}).zeros(71), {"k: ", "do not fit"});
  refused(with(0, 2).key("k", 7).put(uint8_t{0}).key("k", 7).put(uint8_t{0}).zeros(9), {"k: ", "twice"});
  refused(with(0, 1).key("general.alignment", 4).put(uint32_t{24}), {"general.alignment", "24"});
  refused(with(0, 1).key("split.count", 2).put(uint16_t{2}), {"split.count"});
  refused(with(1, 0).tensor("w", {1, 1, 1, 1, 1}, 0, 0), {"w: ", "5 dimensions"});
  refused(with(1, 0).tensor("w", {0}, 0, 0), {"w: ", "out of range"});
  refused(with(1, 0).tensor("w", {huge}, 0, 0), {"w: ", "out of range"});
  refused(with(1, 0).tensor("w", {1u << 31, 1u << 31, 2}, 0, 0), {"w: ", "out of range"});
  refused(with(1, 0).tensor("w", {256}, 13, 0).zeros(512), {"w: ", "Q5_K"});
  refused(with(1, 0).tensor("w", {33}, 8, 0).zeros(512), {"w: ", "no whole blocks of 32"});
  refused(with(1, 0).tensor("w", {8}, 0, 32).pad(32).zeros(64), {"w: ", "begins at 32"});
  refused(with(2, 0).tensor("w", {8}, 0, 0).tensor("v", {8}, 0, 0).pad(32).zeros(64), {"v: ", "begins at 0"});
  refused(with(2, 0).tensor("w", {8}, 0, 0).tensor("w", {8}, 0, 32).pad(32).zeros(64), {"w: ", "twice"});
  refused(with(2, 0).tensor("w", {8}, 0, 0).tensor("v", {8}, 0, 32).pad(32).zeros(63), {"v: ", "truncated"});
}

TEST(GgufFile, a_file_cut_anywhere_is_refused) {
  const Folder folder;
  GgufBytes b;
  b.header(2, 1, 2);
  b.key("text", 8).text("abc");
  b.key("texts", 9).put(uint32_t{8}).put(uint64_t{2}).text("x").text("yz");
  b.tensor("w", {8}, 0, 0).pad(32).zeros(32);
  EXPECT_NO_THROW(GgufFile(write_text(folder / "whole.gguf", b.bytes)));
  for (size_t size = 0; size < b.bytes.size(); ++size) {
    const std::string path = write_text(folder / "cut.gguf", b.bytes.substr(0, size));
    EXPECT_THROW(GgufFile file(path), FormatError) << size;
  }
}

}  // namespace
}  // namespace lethe
