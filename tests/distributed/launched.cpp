#include "tests/distributed/launched.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/checkpoint.h"

namespace lethe::test {
Strings train(const Folder& folder, const Strings& assignments, bool resume) {
  const std::string file = write_text(folder / "config.yaml", small_config(folder.path()));
  Strings arguments = {"train", file, "--set", "threads=1"};
  for (const std::string& a : assignments) arguments.insert(arguments.end(), {"--set", a});
  if (resume) arguments.emplace_back("--resume");
  return arguments;
}

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

void wait_for_checkpoint(const RunningCommand& command, const Folder& folder) {
  while (command.running() && (!std::filesystem::exists(folder / "run/checkpoints") ||
                               !newest_checkpoint(folder / "run/checkpoints"))) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void expect_gone(const std::vector<pid_t>& processes) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (const pid_t p : processes) {
    while (is_running(p) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_FALSE(is_running(p)) << p << " was left behind";
  }
}

}  // namespace lethe::test
