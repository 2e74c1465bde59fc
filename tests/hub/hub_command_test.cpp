// Names at the hub as the commands take them, and several processes that want the same model.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/files.h"
#include "tests/hub/server.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

HubContents family(const std::string& name) {
  const std::string folder = LETHE_SOURCE_DIR "/tests/golden/families/" + name + "/";
  HubContents contents;
  for (const char* file : {"config.json", "model.safetensors"})
    contents.files[file] = read_bytes(folder + file);
  contents.large = {"model.safetensors"};
  return contents;
}

// The hub that the children see.
struct HubEnvironment {
  explicit HubEnvironment(const TestHub& hub) {
    ::setenv("HF_ENDPOINT", hub.url().c_str(), 1);
    ::setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
    ::setenv("HF_TOKEN", "secret", 1);
  }
  ~HubEnvironment() {
    for (const char* name : {"HF_ENDPOINT", "HF_HUB_CACHE", "HF_TOKEN"}) ::unsetenv(name);
  }
  Folder cache;
};

TEST(HubCommand, AModelIsConvertedByItsName) {
  HubContents contents = family("llama");
  contents.files["generation_config.json"] = "{}";
  const TestHub hub(contents);
  const HubEnvironment environment(hub);
  const Folder folder;
  const CommandResult made = lethe_command({"convert", "owner/tiny@main", "--output", folder / "out"});
  EXPECT_EQ(made.status, 0) << made.err;
  expect_parts(made.err, {"owner/tiny: downloading to " + environment.cache.path()});
  EXPECT_EQ(read_bytes(folder / "out/generation_config.json"), "{}");
  EXPECT_FALSE(std::filesystem::is_symlink(folder / "out/generation_config.json"));
  EXPECT_EQ(made.out, "21 tensors in 1 file in " + (folder / "out") + "\n");
  const CommandResult named = lethe_command({"generate", "owner/none", "--ids", "1,2"});
  EXPECT_EQ(named.status, 2);
  expect_parts(named.err,
               {"lethe generate: " + hub.url(), "owner/none", "HTTP 404", "Nor is there a folder"});
}

TEST(HubCommand, ProcessesThatWantTheSameModelDownloadItOnce) {
  HubContents contents = family("llama");
  contents.change = [](const ServerRequest& request, ServerReply& reply) {
    if (request.path == "/model.safetensors") reply.piece_wait_ms = 100;
  };
  const TestHub hub(contents);
  const HubEnvironment environment(hub);
  const Folder folder;
  std::vector<std::unique_ptr<RunningCommand>> commands;
  for (const char* name : {"a", "b", "c"})
    commands.push_back(std::make_unique<RunningCommand>(
        std::vector<std::string>{"convert", "owner/tiny", "--output", folder / name}));
  for (const auto& command : commands) {
    const CommandResult result = command->wait();
    EXPECT_EQ(result.status, 0) << result.err;
  }
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_TRUE(read_bytes(folder / name + "/model.safetensors") ==
                read_bytes(folder / "a/model.safetensors"));
  }
  EXPECT_EQ(hub.store_requests().size(), 1u);
}

// PEFT finds the base again by its name and the commit.
TEST(HubCommand, AnAdaptersBaseIsTheNameAndTheCommit) {
  const Folder folder;
  std::string config = small_config(folder.path());
  const auto train = [&](const std::string& name, std::vector<std::string> assignments) {
    assignments.insert(assignments.begin(), {"train.duration=4 steps", "output=" + (folder / name)});
    std::vector<std::string> arguments = {"train", write_text(folder / name + ".yaml", config)};
    for (const std::string& a : assignments) arguments.insert(arguments.end(), {"--set", a});
    const CommandResult result = lethe_command(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    return result;
  };
  train("base", {});
  HubContents contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "base/model"))
    contents.files[entry.path().filename().string()] = read_bytes(entry.path().string());
  const TestHub hub(contents);
  const HubEnvironment environment(hub);
  config.erase(0, config.find("data:"));  // in place of a fresh model
  const size_t tokenizer = config.find("  tokenizer: ");
  config.erase(tokenizer, config.find('\n', tokenizer) + 1 - tokenizer);  // the model brings its own
  const CommandResult tuned = train("tuned", {"model.path=owner/tiny", "method=lora"});
  expect_parts(tuned.err, {"model   owner/tiny: "});
  const auto adapter = nlohmann::json::parse(read_bytes(folder / "tuned/adapter/adapter_config.json"));
  EXPECT_EQ(adapter["base_model_name_or_path"], "owner/tiny");
  EXPECT_EQ(adapter["revision"], contents.commit);
  // The whole path back: the adapter beside its base, from the cache alone.
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  const CommandResult made = lethe_command({"generate", "owner/tiny", "--adapter", folder / "tuned/adapter",
                                            "--prompt", "the sea", "--max-new-tokens", "2"});
  ::unsetenv("HF_HUB_OFFLINE");
  EXPECT_EQ(made.status, 0) << made.err;
}

}  // namespace
}  // namespace lethe::test
