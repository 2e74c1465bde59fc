#include "tests/distributed/launched.h"

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "engine/checkpoint.h"

namespace lethe::test {
namespace {

// Whether a process still runs; one that nobody has waited for yet does not.
bool runs(pid_t pid) {
  const std::string stat = read_bytes("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

}  // namespace

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

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::istringstream text(
      read_bytes("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children"));
  for (pid_t pid = 0; text >> pid;) found.push_back(pid);
  return found;
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
    while (runs(p) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_FALSE(runs(p)) << p << " was left behind";
  }
}

}  // namespace lethe::test
