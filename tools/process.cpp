#include "tools/process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/error.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace lethe {

ProcessResult run_process(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::array<int, 2> pipe_ends{};
  if (pipe(pipe_ends.data()) != 0) throw RunError(arguments[0] + ": " + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipe_ends[0]);
  posix_spawn_file_actions_addclose(&actions, pipe_ends[1]);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  ProcessResult result;
  if (error != 0) {
    close(pipe_ends[0]);
    if (error != ENOENT) throw RunError(arguments[0] + ": " + std::strerror(error));
    result.status = 127;
    return result;
  }
  std::array<char, 4096> chunk{};
  for (ssize_t n = 0;
       (n = read(pipe_ends[0], chunk.data(), chunk.size())) > 0 || (n < 0 && errno == EINTR);) {
    if (n > 0) result.output.append(chunk.data(), static_cast<size_t>(n));
  }
  close(pipe_ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string setup_folder() {
  namespace fs = std::filesystem;
  const fs::path checkout = fs::path(LETHE_CHECKOUT) / "tools" / "setup";
  std::error_code error;
  const fs::path installed =
      fs::read_symlink("/proc/self/exe", error).parent_path() / ".." / "share" / "lethe" / "setup";
  for (const fs::path& folder : {checkout, installed}) {
    if (fs::exists(folder / "prose_corpus")) return folder.lexically_normal().string();
  }
  throw RunError("the scripts that gather the study's texts are neither in " + checkout.string() +
                 " nor in " + installed.lexically_normal().string());
}

}  // namespace lethe
