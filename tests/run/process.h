// The built `lethe` command as a child process.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace lethe::test {

struct CommandResult {
  int status = -1;  // exit status; 128 + the signal's number if one ended it
  std::string out, err;
  double cpu_seconds = 0;  // user and system
};

// A child that runs; its output goes to files in a folder of its own that result() reads.
class RunningCommand {
 public:
  // `file_limit`: bytes beyond which a write to one file fails (EFBIG), as on a full disk; 0: none.
  explicit RunningCommand(const std::vector<std::string>& arguments, int64_t file_limit = 0);
  ~RunningCommand();
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  void send(int signal) const;
  bool running() const;
  pid_t pid() const { return pid_; }
  CommandResult wait();

 private:
  std::string stem_;
  pid_t pid_ = -1;
};

// The processes that a running one has started and not yet waited for.
std::vector<pid_t> children_of(pid_t parent);
// Whether a process still runs; one that nobody has waited for yet does not.
bool is_running(pid_t pid);

inline CommandResult lethe_command(const std::vector<std::string>& arguments, int64_t file_limit = 0) {
  return RunningCommand(arguments, file_limit).wait();
}

}  // namespace lethe::test
