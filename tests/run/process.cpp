#include "tests/run/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "tests/files.h"

namespace lethe::test {
namespace {

// Between fork and exec: nothing but calls that a child of a threaded process may make.
[[noreturn]] void become(char* const* argv, const char* out, const char* err, int64_t file_limit) {
  const int to_out = ::open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644),
            to_err = ::open(err, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(to_out, STDOUT_FILENO);
  ::dup2(to_err, STDERR_FILENO);
  if (file_limit > 0) {
    const auto bytes = static_cast<rlim_t>(file_limit);
    const rlimit limit{bytes, bytes};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execv(argv[0], argv);
  ::_exit(126);
}

}  // namespace

RunningCommand::RunningCommand(const std::vector<std::string>& arguments, int64_t file_limit) {
  static int count = 0;
  stem_ = testing::TempDir() + "lethe_command_" + std::to_string(::getpid()) + "_" + std::to_string(count++);
  const std::string out = stem_ + ".out", err = stem_ + ".err";
  std::vector<std::string> all = {LETHE_COMMAND};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& a : all) argv.push_back(a.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) become(argv.data(), out.c_str(), err.c_str(), file_limit);
}

RunningCommand::~RunningCommand() {
  if (pid_ > 0) {
    send(SIGKILL);
    wait();
  }
  std::remove((stem_ + ".out").c_str());
  std::remove((stem_ + ".err").c_str());
}

void RunningCommand::send(int signal) const {
  ::kill(pid_, signal);
}

bool RunningCommand::running() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

CommandResult RunningCommand::wait() {
  CommandResult result;
  int status = 0;
  rusage used{};
  if (::wait4(pid_, &status, 0, &used) == pid_) {
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    result.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  }
  pid_ = -1;
  result.out = read_bytes(stem_ + ".out");
  result.err = read_bytes(stem_ + ".err");
  return result;
}

std::vector<pid_t> children_of(pid_t parent) {
  const std::string id = std::to_string(parent);
  std::vector<pid_t> found;
  std::istringstream text(read_bytes("/proc/" + id + "/task/" + id + "/children"));
  for (pid_t pid = 0; text >> pid;) found.push_back(pid);
  return found;
}

bool is_running(pid_t pid) {
  const std::string stat = read_bytes("/proc/" + std::to_string(pid) + "/stat");  // empty: no such process
  const size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

}  // namespace lethe::test
