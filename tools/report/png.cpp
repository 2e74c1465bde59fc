#include "tools/report/png.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace lethe::report {

bool convert_to_png(const std::string& svg_path, const std::string& png_path, double zoom,
                    const std::string& program) {
  std::vector<std::string> words{
      program, "--format=png", fmt::format("--zoom={}", zoom), "--output", png_path, "--", svg_path};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int spawned = posix_spawnp(&process, program.c_str(), nullptr, nullptr, arguments.data(), environ);
  if (spawned == ENOENT) return false;
  if (spawned != 0) throw RunError(fmt::format("{}: {}", program, std::strerror(spawned)));
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) throw RunError(fmt::format("{}: {}", program, std::strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return false;  // some systems tell only the child
  if (status != 0) {
    throw RunError(fmt::format("{}: {} could not make {} of it", svg_path, program, png_path));
  }
  return true;
}

}  // namespace lethe::report
