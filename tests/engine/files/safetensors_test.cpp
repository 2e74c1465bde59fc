#include "engine/files/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/files/safetensors_writer.h"
#include "tests/files.h"

namespace lethe {
namespace {

using test::expect_parts;
using test::Folder;
using test::message_of;
using test::safetensors_bytes;
using test::write_text;

std::string refusal(const Folder& folder, const std::string& bytes) {
  const std::string path = write_text(folder / "bad.safetensors", bytes);
  const std::string message = message_of<FormatError>([&] { SafetensorsFile file(path); });
  expect_parts(message, {path});
  return message;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

std::string object(const std::vector<std::string>& entries) {
  return fmt::format("{{{}}}", fmt::join(entries, ","));
}

struct Broken {
  std::string name, bytes;
  std::vector<std::string> parts;  // of the message
};

std::vector<Broken> broken_files() {
  const std::string eight(8, 'x'), four(4, 'x');
  const std::string good = entry("w", "F32", "[2]", "[0,8]");
  std::vector<Broken> files = {
      {"no bytes", "", {"0 bytes", "at least 8"}},
      {"seven bytes", "1234567", {"7 bytes"}},
      {"header above the limit", safetensors_bytes("{}", "", 100'000'001), {"100000001", "100000000"}},
      {"header beyond the file", safetensors_bytes("{}", "", 3), {"header of 3 bytes", "10 bytes in all"}},
      {"empty header", safetensors_bytes("", ""), {"'{'"}},
      {"header begins with a space", safetensors_bytes(" {}", ""), {"'{'"}},
      {"header is a list", safetensors_bytes("[]", ""), {"'{'"}},
      {"not JSON", safetensors_bytes("{\"a\":}", ""), {"not JSON"}},
      {"not UTF-8", safetensors_bytes("{\"\xff\":1}", ""), {"not JSON"}},
      {"hidden by a NUL", safetensors_bytes(std::string("{}\0{}", 5), ""), {"NUL"}},
      {"text after the header", safetensors_bytes("{} {}", ""), {"not JSON"}},
      {"unknown dtype",
       safetensors_bytes(object({entry("w", "F31", "[2]", "[0,8]")}), eight),
       {"w: ", "F31"}},
      {"dtype is a number",
       safetensors_bytes(R"({"w":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", eight),
       {"w: ", "unknown dtype 7"}},
      {"entry is a list", safetensors_bytes(R"({"w":[1]})", ""), {"w: ", "object", "[1]"}},
      {"no shape",
       safetensors_bytes(R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", eight),
       {"w: ", "'shape'"}},
      {"no offsets",
       safetensors_bytes(R"({"w":{"dtype":"F32","shape":[2]}})", eight),
       {"w: ", "'data_offsets'"}},
      {"extra field",
       safetensors_bytes(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"scale":3}})", eight),
       {"w: ", "'scale' = 3"}},
      {"one offset", safetensors_bytes(object({entry("w", "F32", "[2]", "[8]")}), eight), {"w: ", "[8]"}},
      {"shape is a number",
       safetensors_bytes(object({entry("w", "F32", "2", "[0,8]")}), eight),
       {"w: ", "shape", "2"}},
      {"negative dimension",
       safetensors_bytes(object({entry("w", "F32", "[-2]", "[0,8]")}), eight),
       {"w: ", "-2"}},
      {"fractional dimension",
       safetensors_bytes(object({entry("w", "F32", "[2.0]", "[0,8]")}), eight),
       {"w: ", "2.0"}},
      {"dimension of 2^64",
       safetensors_bytes(object({entry("w", "F32", "[18446744073709551616]", "[0,8]")}), eight),
       {"w: ", "shape"}},
      {"negative offset",
       safetensors_bytes(object({entry("w", "F32", "[2]", "[-8,0]")}), eight),
       {"w: ", "-8"}},
      {"product overflows",
       safetensors_bytes(object({entry("w", "F32", "[4294967296,4294967296]", "[0,0]")}), ""),
       {"w: ", "[4294967296, 4294967296]", "elements"}},
      {"bits overflow",
       safetensors_bytes(object({entry("w", "F32", "[576460752303423488]", "[0,0]")}), ""),
       {"w: ", "576460752303423488", "bits"}},
      {"part of a byte",
       safetensors_bytes(object({entry("w", "F4", "[3]", "[0,2]")}), "xx"),
       {"w: ", "12 bits"}},
      {"end before begin",
       safetensors_bytes(object({entry("w", "F32", "[2]", "[8,0]")}), eight),
       {"w: ", "[8, 0]"}},
      {"size mismatch",
       safetensors_bytes(object({entry("w", "F32", "[3]", "[0,8]")}), eight),
       {"w: ", "8 bytes", "F32 [3] needs 12"}},
      {"hole at the start",
       safetensors_bytes(object({entry("w", "F32", "[1]", "[4,8]")}), eight),
       {"w: ", "begins at 4", "hole of 4"}},
      {"hole",
       safetensors_bytes(object({entry("a", "U8", "[2]", "[0,2]"), entry("b", "U8", "[4]", "[4,8]")}), eight),
       {"b: ", "'a' ends at 2", "hole of 2"}},
      {"overlap",
       safetensors_bytes(object({entry("a", "U8", "[5]", "[0,5]"), entry("b", "U8", "[4]", "[4,8]")}), eight),
       {"b: ", "'a' ends at 5", "overlap of 1"}},
      {"the same bytes twice",
       safetensors_bytes(object({entry("a", "F32", "[2]", "[0,8]"), entry("b", "F32", "[2]", "[0,8]")}),
                         eight),
       {"b: ", "overlap of 8"}},
      {"trailing byte", safetensors_bytes(object({good}), eight + "x"), {"9", "1 trailing"}},
      {"data without tensors", safetensors_bytes("{}", four), {"4 trailing"}},
      {"truncated data", safetensors_bytes(object({good}), four), {"w: ", "8", "holds 4", "truncated"}},
      {"duplicate tensor", safetensors_bytes(object({good, good}), eight), {"w: ", "twice"}},
      {"duplicate field",
       safetensors_bytes(R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", eight),
       {"dtype: ", "twice"}},
      {"metadata is a list", safetensors_bytes(R"({"__metadata__":[]})", ""), {"__metadata__", "[]"}},
      {"metadata holds a number",
       safetensors_bytes(R"({"__metadata__":{"step":7}})", ""),
       {"__metadata__", "'step'", "7"}},
  };
  return files;
}

TEST(SafetensorsFile, every_broken_file_is_refused_by_name_and_number) {
  const Folder folder;
  for (const Broken& broken : broken_files()) {
    SCOPED_TRACE(broken.name);
    expect_parts(refusal(folder, broken.bytes), broken.parts);
  }
}

TEST(SafetensorsFile, what_is_no_regular_file_is_refused) {
  const Folder folder;
  expect_parts(message_of<FormatError>([&] { SafetensorsFile file(folder / "none.safetensors"); }),
               {folder / "none.safetensors", "No such file"});
  expect_parts(message_of<FormatError>([&] { SafetensorsFile file(folder.path()); }), {"regular"});
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_parts(message_of<FormatError>([&] { SafetensorsFile file(folder / "pipe"); }), {"regular"});
}

TEST(SafetensorsFile, empty_tensors_scalars_and_unordered_unaligned_entries_are_read) {
  const Folder folder;
  const std::string header = object({entry("b", "F32", "[]", "[1,5]"), entry("none", "F64", "[0,3]", "[5,5]"),
                                     entry("a", "U8", "[1]", "[0,1]")}) +
                             "   ";
  const float value = -3.25f;
  std::string data = "x";
  data.append(reinterpret_cast<const char*>(&value), 4);
  const SafetensorsFile file(write_text(folder / "good.safetensors", safetensors_bytes(header, data)));
  ASSERT_EQ(file.entries().size(), 3u);
  EXPECT_EQ(file.entries()[0].name, "a");
  double read = 0;
  file.read("b", {&read, DType::f64, 0});
  EXPECT_EQ(read, -3.25);
  EXPECT_EQ(file.require("none").rows(), 0);
  file.read("none", {nullptr, DType::f64, 0});
  EXPECT_EQ(file.bytes(file.require("a"))[0], std::byte{'x'});
}

TEST(SafetensorsFile, a_file_without_tensors_is_a_file) {
  const Folder folder;
  const SafetensorsFile file(write_text(folder / "empty.safetensors", safetensors_bytes("{}", "")));
  EXPECT_TRUE(file.entries().empty());
}

TEST(SafetensorsFile, reading_what_is_not_there_is_refused) {
  const Folder folder;
  const std::string header = object({entry("ids", "I64", "[2,3]", "[0,48]")});
  const SafetensorsFile file(
      write_text(folder / "ids.safetensors", safetensors_bytes(header, std::string(48, '\0'))));
  std::vector<double> target(6);
  expect_parts(message_of<FormatError>([&] {
                 file.read("x", {target.data(), DType::f64, 0});
               }),
               {"x: ", "no such"});
  expect_parts(message_of<FormatError>([&] {
                 file.read("ids", {target.data(), DType::f32, 0});
               }),
               {"ids", "I64", "float32"});
  expect_parts(message_of<FormatError>([&] {
                 file.read("ids", {target.data(), DType::i64, 0}, {1, 2});
               }),
               {"ids", "rows 1 to 3", "[2, 3]"});
  expect_parts(message_of<ShapeError>([&] {
                 file.read("ids", {target.data(), DType::i64, 2});
               }),
               {"pitch 2", "3"});
}

TEST(SafetensorsFile, values_beyond_the_targets_range_are_refused) {
  const Folder folder;
  const double values[] = {1.0, 2.0, 3.0, -1e300};
  write_safetensors(folder / "f.safetensors",
                    {tensor_to_write("w", StoredType::f64, {2, 2}, values, DType::f64)});
  const SafetensorsFile file(folder / "f.safetensors");
  float target[4];
  expect_parts(message_of<FormatError>([&] {
                 file.read("w", {target, DType::f32, 0});
               }),
               {"w", "element 3", "float32"});
}

}  // namespace
}  // namespace lethe
