#include "tools/run/local_ranks.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>

#include "engine/comm/launch.h"
#include "engine/comm/socket.h"
#include "engine/comm/store.h"
#include "engine/error.h"

extern char** environ;  // NOLINT: POSIX declares it so

namespace lethe {
namespace {

constexpr Seconds kTimeToEnd(10);  // of the others, when a rank has failed

// The environment without what another launcher says, which would be believed first.
std::vector<std::string> environment_of(const std::vector<std::string>& more) {
  std::vector<std::string> names = launcher_variables();
  for (const std::string& m : more) names.push_back(m.substr(0, m.find('=')));
  std::vector<std::string> made = more;
  for (char** e = environ; *e; ++e) {
    const std::string entry = *e;
    if (std::ranges::find(names, entry.substr(0, entry.find('='))) == names.end()) made.push_back(entry);
  }
  return made;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> made;
  for (std::string& w : words) made.push_back(w.data());
  made.push_back(nullptr);
  return made;
}

// While one lives these signals wait until they are asked for.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int s : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&held_, s);
    sigprocmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // The next one, 0 after so many milliseconds.
  int next(int64_t milliseconds) const {
    const timespec most{milliseconds / 1000, milliseconds % 1000 * 1000000};
    const int got = sigtimedwait(&held_, nullptr, &most);
    return got > 0 ? got : 0;
  }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t held_{}, before_{};
};

class Children {
 public:
  explicit Children(const HeldSignals& signals) : signals_(signals) {}
  ~Children() {
    send(SIGKILL);
    while (running() > 0) reap(true);
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  void start(std::vector<std::string> arguments, std::vector<std::string> environment) {
    const std::vector<char*> argv = pointers(arguments), env = pointers(environment);
    const pid_t parent = ::getpid(), pid = ::fork();
    if (pid < 0) throw RunError(std::string("no process could be started: ") + std::strerror(errno));
    if (pid == 0) {
      // A group of its own: a terminal's SIGINT comes once, from this program's parent.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      sigprocmask(SIG_SETMASK, &signals_.before(), nullptr);
      ::execve("/proc/self/exe", argv.data(), env.data());
      ::_exit(127);
    }
    pids_.push_back(pid);
  }

  void send(int signal) const {
    for (const pid_t p : pids_) {
      if (p > 0) ::kill(p, signal);
    }
  }
  int64_t running() const {
    return std::ranges::count_if(pids_, [](pid_t p) { return p > 0; });
  }

  // Those that have ended since, by rank and status.
  std::vector<std::pair<int, int>> reap(bool wait) {
    std::vector<std::pair<int, int>> ended;
    for (size_t r = 0; r < pids_.size(); ++r) {
      int status = 0;
      if (pids_[r] <= 0 || ::waitpid(pids_[r], &status, wait ? 0 : WNOHANG) != pids_[r]) continue;
      pids_[r] = 0;
      ended.emplace_back(static_cast<int>(r),
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return ended;
  }

 private:
  const HeldSignals& signals_;
  std::vector<pid_t> pids_;
};

// Of ranks that were found ended at once: one that a signal ended went first, one that lost another (3) last.
int order_of(int status) {
  return status > 128 ? 0 : status == 3 ? 2 : 1;
}

}  // namespace

RanksEnd run_local_ranks(int ranks, const std::vector<std::string>& arguments, int restart, int restarts) {
  const HeldSignals signals;
  Children children(signals);
  const std::string port = std::to_string(listen_on("127.0.0.1", 0).port), world = std::to_string(ranks),
                    run = random_token();
  std::vector<std::string> words = {"lethe"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  for (int r = 0; r < ranks; ++r) {
    const std::string rank = std::to_string(r);
    children.start(words, environment_of({"RANK=" + rank, "LOCAL_RANK=" + rank, "WORLD_SIZE=" + world,
                                          "LOCAL_WORLD_SIZE=" + world, "MASTER_ADDR=127.0.0.1",
                                          "MASTER_PORT=" + port, "TORCHELASTIC_RUN_ID=" + run,
                                          fmt::format("TORCHELASTIC_RESTART_COUNT={}", restart),
                                          fmt::format("TORCHELASTIC_MAX_RESTARTS={}", restarts)}));
  }
  RanksEnd end;
  Deadline killed_at{};
  while (children.running() > 0) {
    const int signal = signals.next(200);
    if (signal == SIGTERM || signal == SIGINT) {
      end.signalled = signal;
      children.send(signal);
    }
    std::vector<std::pair<int, int>> ended = children.reap(false);
    std::ranges::stable_sort(ended, {}, [](const auto& e) { return order_of(e.second); });
    for (const auto& [rank, status] : ended) {
      if (status == 0 || end.status != 0) continue;
      end.status = status;
      end.rank = rank;
      killed_at = deadline_after(kTimeToEnd);
    }
    if (end.status != 0 && std::chrono::steady_clock::now() > killed_at) children.send(SIGKILL);
  }
  return end;
}

}  // namespace lethe
