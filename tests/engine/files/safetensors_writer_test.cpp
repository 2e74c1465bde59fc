#include "engine/files/safetensors_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <numeric>

#include "engine/files/convert.h"
#include "engine/files/safetensors.h"
#include "tests/files.h"

namespace lethe {
namespace {

using test::expect_parts;
using test::Folder;
using test::message_of;
using test::read_bytes;
using test::write_text;

// Values that every stored type holds exactly.
std::vector<float> plain_values(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<int>(i % 255) - 127) / 8.0f;
  return values;
}

struct Pair {
  StoredType stored;
  DType dtype;
};

class RoundTrip : public testing::TestWithParam<Pair> {};

TEST_P(RoundTrip, rows_with_a_pitch_come_back_and_the_gaps_stay_untouched) {
  const auto [stored, dtype] = GetParam();
  const Folder folder;
  for (const auto& [rows, width] :
       {std::pair<int64_t, int64_t>{1, 1}, {7, 1025}, {0, 7}, {7, 0}, {1025, 7}}) {
    const int64_t pitch = width + 3;
    const std::vector<float> values = plain_values(static_cast<size_t>(rows * pitch));
    std::vector<std::byte> source(static_cast<size_t>(rows * pitch * size_of(dtype)));
    from_stored(StoredType::f32, reinterpret_cast<const std::byte*>(values.data()), rows * pitch, dtype,
                source.data());
    write_safetensors(folder / "f.safetensors",
                      {tensor_to_write("w", stored, {rows, width}, source.data(), dtype, pitch)});
    const SafetensorsFile file(folder / "f.safetensors");
    std::vector<std::byte> target(source.size(), std::byte{0x5a});
    file.read("w", {target.data(), dtype, pitch});
    for (int64_t row = 0; row < rows; ++row) {
      const auto at = static_cast<size_t>(row * pitch * size_of(dtype));
      const auto used = static_cast<size_t>(width * size_of(dtype));
      ASSERT_EQ(std::memcmp(&target[at], &source[at], used), 0) << row;
      for (size_t i = used; i < static_cast<size_t>(pitch * size_of(dtype)); ++i) {
        ASSERT_EQ(target[at + i], std::byte{0x5a});
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Dtypes, RoundTrip,
    testing::Values(Pair{StoredType::f32, DType::f32}, Pair{StoredType::f32, DType::f64},
                    Pair{StoredType::f32, DType::bf16}, Pair{StoredType::f16, DType::f32},
                    Pair{StoredType::f16, DType::f64}, Pair{StoredType::f16, DType::bf16},
                    Pair{StoredType::bf16, DType::f32}, Pair{StoredType::bf16, DType::f64},
                    Pair{StoredType::bf16, DType::bf16}, Pair{StoredType::f64, DType::f64},
                    Pair{StoredType::f64, DType::f32}, Pair{StoredType::f64, DType::bf16}),
    [](const auto& test) {
      return std::string(name_of(test.param.stored)) + "_" + std::string(name_of(test.param.dtype));
    });

TEST(SafetensorsWriter, part_of_the_rows_is_read) {
  const Folder folder;
  std::vector<int64_t> ids(15);
  std::iota(ids.begin(), ids.end(), 100);
  write_safetensors(folder / "f.safetensors",
                    {tensor_to_write("ids", StoredType::i64, {5, 3}, ids.data(), DType::i64)});
  const SafetensorsFile file(folder / "f.safetensors");
  std::vector<int64_t> rows(6, -1);
  file.read("ids", {rows.data(), DType::i64, 0}, {2, 2});
  EXPECT_EQ(rows, (std::vector<int64_t>{106, 107, 108, 109, 110, 111}));
}

TEST(SafetensorsWriter, the_wider_types_come_first_then_the_names_and_the_data_begin_at_a_multiple_of_8) {
  const Folder folder;
  const std::vector<float> values = plain_values(6);
  const std::vector<int64_t> ids = {1, 2};
  write_safetensors(folder / "f.safetensors",
                    {tensor_to_write("b", StoredType::bf16, {3}, values.data(), DType::f32),
                     tensor_to_write("z", StoredType::f32, {2, 3}, values.data(), DType::f32),
                     tensor_to_write("a", StoredType::f32, {}, values.data(), DType::f32),
                     tensor_to_write("ids", StoredType::i64, {2}, ids.data(), DType::i64)});
  const SafetensorsFile file(folder / "f.safetensors");
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file.entries()) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"ids", "a", "z", "b"}));
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"format", "pt"}}));
  const std::string bytes = read_bytes(folder / "f.safetensors");
  EXPECT_EQ(bytes[0] % 8, 0);
  EXPECT_EQ(bytes.substr(8, 34), R"({"__metadata__":{"format":"pt"},"i)");
}

TEST(SafetensorsWriter, what_was_read_is_written_back_byte_for_byte) {
  const Folder folder;
  const std::vector<float> values = plain_values(3 * 1025);
  write_safetensors(folder / "a.safetensors",
                    {tensor_to_write("w", StoredType::f16, {3, 1025}, values.data(), DType::f32)});
  const SafetensorsFile first(folder / "a.safetensors");
  std::vector<double> held(3 * 1025);
  first.read("w", {held.data(), DType::f64, 0});
  write_safetensors(folder / "b.safetensors",
                    {tensor_to_write("w", StoredType::f16, {3, 1025}, held.data(), DType::f64)});
  EXPECT_EQ(read_bytes(folder / "a.safetensors"), read_bytes(folder / "b.safetensors"));
}

TEST(SafetensorsWriter, half_subnormals_and_bf16_ties_are_written_rounded_to_even) {
  const Folder folder;
  // Multiples of the smallest half, 2^-24: 1, 1.5 (a tie, to 2), 2.5 (a tie, to 2), 0.5 (a tie, to 0).
  const float tiny[] = {0x1p-24f, 0x1.8p-24f, 0x1.4p-23f, 0x1p-25f};
  // 1 + 2^-8 lies between 1 (even) and 1 + 2^-7; 1 + 3 * 2^-8 between 1 + 2^-7 and 1 + 2^-6 (even).
  const float ties[] = {0x1.01p0f, 0x1.03p0f};
  write_safetensors(folder / "f.safetensors",
                    {tensor_to_write("h", StoredType::f16, {4}, tiny, DType::f32),
                     tensor_to_write("b", StoredType::bf16, {2}, ties, DType::f32)});
  const SafetensorsFile file(folder / "f.safetensors");
  float halves[4], brains[2];
  file.read("h", {halves, DType::f32, 0});
  file.read("b", {brains, DType::f32, 0});
  EXPECT_EQ(std::vector<float>(halves, halves + 4), (std::vector<float>{0x1p-24f, 0x1p-23f, 0x1p-23f, 0.0f}));
  EXPECT_EQ(std::vector<float>(brains, brains + 2), (std::vector<float>{1.0f, 0x1.04p0f}));
}

TEST(SafetensorsWriter, a_large_tensor_is_asked_for_in_pieces) {
  const Folder folder;
  constexpr int64_t rows = 4000, width = 1025;  // 16.4 MB of float
  int64_t calls = 0, next = 0;
  TensorToWrite tensor{
      "w", StoredType::f32, {rows, width}, [&](int64_t first, int64_t count, std::byte* out) {
        EXPECT_EQ(first, next);
        next = first + count;
        ++calls;
        for (int64_t i = 0; i < count * width; ++i) {
          const auto value = static_cast<float>(first + i / width);
          std::memcpy(out + 4 * i, &value, 4);
        }
      }};
  write_safetensors(folder / "f.safetensors", {tensor});
  EXPECT_GT(calls, 3);
  const SafetensorsFile file(folder / "f.safetensors");
  float row[width];
  file.read("w", {row, DType::f32, 0}, {3999, 1});
  EXPECT_EQ(row[0], 3999.0f);
  EXPECT_EQ(row[width - 1], 3999.0f);
}

TEST(SafetensorsWriter, bad_requests_leave_the_old_file_and_no_other) {
  const Folder folder;
  const std::string path = write_text(folder / "f.safetensors", "old");
  const float values[] = {1.0f, 70000.0f};
  const auto tensor = [&](const std::string& name) {
    return tensor_to_write(name, StoredType::f16, {2, 1}, values, DType::f32);
  };
  expect_parts(message_of<RequestError>([&] { write_safetensors(path, {tensor("w")}); }),
               {"w", "element 0 of row 1", "F16"});
  expect_parts(message_of<FormatError>([&] {
                 write_safetensors(path, {tensor("w"), tensor("w")});
               }),
               {path, "w", "twice"});
  expect_parts(message_of<FormatError>([&] { write_safetensors(path, {tensor("__metadata__")}); }),
               {"reserved"});
  expect_parts(message_of<FormatError>([&] { write_safetensors(path, {tensor("\xff")}); }), {"header"});
  expect_parts(
      message_of<ShapeError>([&] { tensor_to_write("w", StoredType::i64, {2}, values, DType::f32); }),
      {"w", "I64"});
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"f.safetensors"});
}

TEST(SafetensorsWriter, a_folder_that_is_not_there_is_the_systems_error) {
  const Folder folder;
  expect_parts(message_of<IoError>([&] { write_safetensors(folder / "none/f.safetensors", {}); }),
               {folder / "none/f.safetensors", "No such file"});
}

// In a process of its own, files above 64 KiB cannot be written, as on a full disk. Returns 0 if the error is
// the right one and nothing but the old file is left.
int write_with_a_full_disk(const Folder& folder) {
  const rlimit limit{65536, 65536};
  std::signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 10;
  const std::vector<float> values = plain_values(100'000);
  try {
    write_safetensors(folder / "f.safetensors",
                      {tensor_to_write("w", StoredType::f32, {100'000}, values.data(), DType::f32)});
  } catch (const IoError& error) {
    const std::string message = error.what();
    if (message.find(folder / "f.safetensors") == std::string::npos) return 11;
    if (message.find(std::strerror(EFBIG)) == std::string::npos) return 12;
    return folder.names() == std::vector<std::string>{"f.safetensors"} ? 0 : 13;
  } catch (...) {
    return 14;
  }
  return 15;
}

TEST(SafetensorsWriter, a_full_disk_is_an_io_error_and_leaves_the_old_file_whole) {
  const Folder folder;
  const std::string path = write_text(folder / "f.safetensors", "old");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(write_with_a_full_disk(folder));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read_bytes(path), "old");
}

TEST(FreeSpace, more_than_there_is_is_refused_with_the_numbers) {
  const Folder folder;
  require_free_space(folder.path(), 1);
  require_free_space(folder / "not/yet/there", 1);
  require_free_space("", 1);
  const int64_t much = int64_t{1} << 62;
  expect_parts(message_of<RequestError>([&] { require_free_space(folder / "not/yet", much); }),
               {folder / "not/yet", std::to_string(much), "free"});
}

}  // namespace
}  // namespace lethe
