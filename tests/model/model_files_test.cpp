#include "model/weights/model_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/files.h"

namespace lethe {
namespace {

using test::expect_parts;
using test::Folder;
using test::message_of;
using test::read_bytes;
using test::write_text;

const std::vector<float> values(64, 0.5f);

// `bytes` long, of one row.
TensorToWrite tensor(const std::string& name, int64_t bytes) {
  return tensor_to_write(name, StoredType::f32, {bytes / 4}, values.data(), DType::f32);
}

std::vector<std::string> names_in(const TensorFile& file) {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file.entries()) names.push_back(entry.name);
  return names;
}

TEST(ModelFiles, tensors_above_the_limit_are_split_as_transformers_splits_them) {
  const Folder folder;
  // big is a shard before the one that a began; c would make 36 bytes of a and b.
  write_model(folder.path(), {tensor("a", 16), tensor("big", 64), tensor("b", 8), tensor("c", 12)}, 32);
  EXPECT_EQ(folder.names(),
            (std::vector<std::string>{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  const ModelFiles files = ModelFiles::open(folder.path());
  ASSERT_EQ(files.files().size(), 3u);
  EXPECT_EQ(names_in(*files.files()[0]), std::vector<std::string>{"big"});
  EXPECT_EQ(names_in(*files.files()[1]), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(names_in(*files.files()[2]), std::vector<std::string>{"c"});
  EXPECT_EQ(files.tensors().size(), 4u);
  EXPECT_FALSE(files.find("d"));
  expect_parts(message_of<FormatError>([&] { files.require("d"); }), {"index.json", "d", "missing"});
  std::vector<float> read(3);
  files.require("c").read({read.data(), DType::f32, 0});
  EXPECT_EQ(read, std::vector<float>(3, 0.5f));

  const std::string text = read_bytes(folder / "model.safetensors.index.json");
  const auto index = nlohmann::json::parse(text);
  EXPECT_EQ(index["metadata"]["total_size"], 100);
  EXPECT_EQ(index["metadata"]["total_parameters"], 25);
  EXPECT_EQ(index["weight_map"]["a"], "model-00002-of-00003.safetensors");
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(text.substr(0, 18), "{\n  \"metadata\": {\n");
  for (const auto& file : files.files()) EXPECT_EQ(file->metadata().at("format"), "pt");
}

TEST(ModelFiles, each_way_of_writing_removes_what_the_other_left) {
  const Folder folder;
  write_text(folder / "notes.txt", "kept");
  write_text(folder / "model-1-of-00003.safetensors", "no shard's name");
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 16);
  EXPECT_EQ(folder.names().size(), 5u);
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16), tensor("c", 16)}, 16);
  EXPECT_EQ(folder.names().size(), 6u);
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 3u);
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 32);
  EXPECT_EQ(folder.names(),
            (std::vector<std::string>{"model-1-of-00003.safetensors", "model.safetensors", "notes.txt"}));
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 2u);
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 16);
  EXPECT_EQ(folder.names().size(), 5u);
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 2u);
}

TEST(ModelFiles, a_failed_write_leaves_the_old_model) {
  const Folder folder;
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 16);
  const auto before = folder.names();
  TensorToWrite failing = tensor("c", 16);
  failing.fill = [](int64_t, int64_t, std::byte*) { throw RunError("the source is gone"); };
  expect_parts(message_of<RunError>([&] {
                 write_model(folder.path(), {tensor("a", 16), failing}, 16);
               }),
               {"gone"});
  EXPECT_EQ(folder.names(), before);
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 2u);
}

TEST(ModelFiles, a_tensor_given_twice_is_refused_across_shards_too) {
  const Folder folder;
  expect_parts(message_of<FormatError>([&] {
                 write_model(folder.path(), {tensor("a", 16), tensor("a", 16)}, 16);
               }),
               {"a", "twice"});
  EXPECT_TRUE(folder.names().empty());
}

std::string refusal(const Folder& folder) {
  const std::string message = message_of<FormatError>([&] { ModelFiles::open(folder.path()); });
  expect_parts(message, {folder.path()});
  return message;
}

TEST(ModelFiles, a_folder_without_one_clear_model_is_refused) {
  const Folder folder;
  expect_parts(message_of<FormatError>([&] { ModelFiles::open(folder / "none"); }),
               {folder / "none", "no such folder"});
  expect_parts(refusal(folder), {"neither", "model.safetensors"});
  write_text(folder / "pytorch_model-00001-of-00002.bin", "pickle");
  expect_parts(refusal(folder), {"pytorch_model-00001-of-00002.bin", "pickle"});
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 16);
  const std::string index = read_bytes(folder / "model.safetensors.index.json");
  std::filesystem::remove(folder / "model.safetensors.index.json");
  expect_parts(refusal(folder), {"model-00001-of-00002.safetensors", "index.json"});
  write_safetensors(folder / "model.safetensors", {tensor("a", 16)});
  write_text(folder / "model.safetensors.index.json", index);
  expect_parts(refusal(folder), {"both", "model.safetensors.index.json"});
}

TEST(ModelFiles, an_index_that_lies_is_refused) {
  const Folder folder;
  const std::string path = folder / "model.safetensors.index.json";
  write_model(folder.path(), {tensor("a", 16), tensor("b", 16)}, 16);
  const std::string one = "model-00001-of-00002.safetensors", two = "model-00002-of-00002.safetensors";
  const auto index = [&](const std::string& map) { write_text(path, "{\"weight_map\":{" + map + "}}"); };

  index("\"a\":\"" + one + "\",\"b\":\"" + two + "\"");
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 2u);  // metadata are not required
  index("\"a\":\"" + one + "\"");
  EXPECT_EQ(ModelFiles::open(folder.path()).tensors().size(), 1u);
  index("\"a\":\"" + two + "\",\"b\":\"" + one + "\"");
  expect_parts(refusal(folder), {path, "a: ", two});
  index("\"a\":\"" + one + "\",\"b\":\"" + one + "\"");
  expect_parts(refusal(folder), {path, "b: ", one});
  index("\"a\":\"" + one + "\",\"b\":\"" + two + "\",\"c\":\"" + two + "\"");
  expect_parts(refusal(folder), {path, "c: ", two});
  index("\"a\":\"" + one + "\",\"b\":\"gone.safetensors\"");
  expect_parts(refusal(folder), {path, "gone.safetensors", "not there"});
  index("\"a\":\"" + one + "\",\"a\":\"" + two + "\"");
  expect_parts(refusal(folder), {path, "a: ", "twice"});
  for (const char* name : {"../up.safetensors", "/abs.safetensors", "..", "", "sub\\\\x"}) {
    index("\"a\":\"" + std::string(name) + "\"");
    expect_parts(refusal(folder), {path, "a: ", "plain file name"});
  }
  index("\"a\":7");
  expect_parts(refusal(folder), {path, "a: ", "7"});
  index("");
  expect_parts(refusal(folder), {path, "weight_map", "empty"});
  write_text(path, "[]");
  expect_parts(refusal(folder), {path, "weight_map"});

  write_safetensors(folder / two, {tensor("a", 16), tensor("b", 16)});
  index("\"a\":\"" + one + "\",\"b\":\"" + two + "\"");
  expect_parts(refusal(folder), {folder / two, "a: ", one});
  write_safetensors(folder / two, {tensor("b", 16), tensor("extra", 16)});
  expect_parts(refusal(folder), {folder / two, "extra: ", "not named"});
}

}  // namespace
}  // namespace lethe
