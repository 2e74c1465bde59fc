#include "tools/sandbox/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tools/sandbox/syscall_filter.h"

namespace lethe {
namespace {

constexpr unsigned kNobody = 65534;
constexpr int kInput = 3, kAnswer = 4;
constexpr size_t kMostAnswer = 4096;
// Where the new file system is built: any folder will do that every system has, the mount is the sandbox's.
constexpr const char* kRoot = "/tmp";

struct Descriptor {
  int value = -1;
  Descriptor() = default;
  explicit Descriptor(int v) : value(v) {}
  Descriptor(Descriptor&& other) noexcept : value(std::exchange(other.value, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value, other.value);
    return *this;
  }
  ~Descriptor() { reset(); }
  void reset() {
    if (value >= 0) close(value);
    value = -1;
  }
};

[[noreturn]] void fail(const std::string& step, int error) {
  throw SandboxError(fmt::format("{}: {}", step, std::strerror(error)));
}

struct Pipe {
  Descriptor read, write;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2", errno);
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
  }
};

Descriptor file_in_memory(const std::string& text) {
  Descriptor file(memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (file.value < 0) fail("memfd_create", errno);
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(file.value, text.data() + done, text.size() - done);
    if (n < 0) fail("write", errno);
    done += static_cast<size_t>(n);
  }
  if (fcntl(file.value, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) != 0)
    fail("F_ADD_SEALS", errno);
  lseek(file.value, 0, SEEK_SET);
  return file;
}

// One entry of the new file system.
struct Entry {
  enum class Kind { folder, bound_folder, bound_file, link };
  Kind kind;
  std::string from, to;  // link: its text, and where
  unsigned long flags = 0;
};

void add_folder(std::vector<Entry>& entries, const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder(path);
  fs::path upper(kRoot);
  for (const fs::path& part : folder.relative_path().parent_path()) {
    upper /= part;
    const std::string made = upper.string();
    const bool known = std::ranges::any_of(entries, [&](const Entry& e) { return e.to == made; });
    if (!known) entries.push_back({Entry::Kind::folder, "", made});
  }
  entries.push_back({Entry::Kind::bound_folder, path, kRoot + path});
}

// A mount keeps the restrictions that its source has: a namespace of one's own may not lift them.
unsigned long locked_flags(const std::string& path) {
  struct statvfs found {};
  if (statvfs(path.c_str(), &found) != 0) return 0;
  unsigned long flags = 0;
  if (found.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
  if (found.f_flag & ST_NOATIME) flags |= MS_NOATIME;
  if (found.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
  if (found.f_flag & ST_RELATIME) flags |= MS_RELATIME;
  return flags;
}

std::vector<Entry> file_system(const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  std::vector<Entry> entries;
  add_folder(entries, "/usr");
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code none;
    if (fs::is_symlink(name, none)) {
      entries.push_back({Entry::Kind::link, fs::read_symlink(name).string(), std::string(kRoot) + name});
    } else if (fs::is_directory(name, none)) {
      add_folder(entries, name);
    }
  }
  for (const std::string& folder : folders) {
    if (!folder.starts_with("/usr/")) add_folder(entries, folder);
  }
  entries.push_back({Entry::Kind::folder, "", std::string(kRoot) + "/dev"});
  for (const char* name : {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"})
    entries.push_back({Entry::Kind::bound_file, name, std::string(kRoot) + name});
  entries.push_back({Entry::Kind::folder, "", std::string(kRoot) + "/tmp"});
  for (Entry& e : entries) e.flags = locked_flags(e.from);
  return entries;
}

// All that the child needs, made before it is: between clone and exec nothing may be allocated.
struct Prepared {
  std::vector<char*> arguments, environment;
  std::vector<Entry> entries;
  std::vector<sock_filter> filter;
  std::string root_options, tmp_options;
  SandboxLimits limits;
  int input = -1, output = -1, answer = -1, report = -1, start = -1;
  bool isolated = true;
};

struct Report {
  char step[56];
  int error;
};

[[noreturn]] void give_up(const Prepared& p, const char* step) {
  Report report{};
  report.error = errno;
  std::strncpy(report.step, step, sizeof report.step - 1);
  if (write(p.report, &report, sizeof report) < 0) _exit(126);
  _exit(126);
}

void require(const Prepared& p, bool good, const char* step) {
  if (!good) give_up(p, step);
}

void limit(const Prepared& p, __rlimit_resource what, int64_t value, const char* step) {
  const rlimit both{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  require(p, setrlimit(what, &both) == 0, step);
}

void build_file_system(const Prepared& p) {
  require(p, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount / private");
  require(p, mount("tmpfs", kRoot, "tmpfs", MS_NOSUID | MS_NODEV, p.root_options.c_str()) == 0,
          "mount a tmpfs");
  for (const Entry& e : p.entries) {
    switch (e.kind) {
      case Entry::Kind::link:
        require(p, symlink(e.from.c_str(), e.to.c_str()) == 0, e.to.c_str());
        continue;
      case Entry::Kind::folder:
        require(p, mkdir(e.to.c_str(), 0755) == 0, e.to.c_str());
        continue;
      case Entry::Kind::bound_folder:
        require(p, mkdir(e.to.c_str(), 0755) == 0, e.to.c_str());
        break;
      case Entry::Kind::bound_file: {
        const int file = open(e.to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        require(p, file >= 0, e.to.c_str());
        close(file);
        break;
      }
    }
    const bool folder = e.kind == Entry::Kind::bound_folder;
    require(p, mount(e.from.c_str(), e.to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, e.from.c_str());
    const unsigned long flags =
        MS_REMOUNT | MS_BIND | MS_NOSUID | e.flags | (folder ? MS_RDONLY | MS_NODEV : 0);
    require(p, mount(nullptr, e.to.c_str(), nullptr, flags, nullptr) == 0, e.to.c_str());
  }
  require(p, mount("tmpfs", "/tmp/tmp", "tmpfs", MS_NOSUID | MS_NODEV, p.tmp_options.c_str()) == 0,
          "mount its /tmp");
  require(p, chdir(kRoot) == 0, "chdir");
  require(p, syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  require(p, umount2(".", MNT_DETACH) == 0, "umount of the old root");
  require(p,
          mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr) == 0,
          "remount / read only");
  require(p, chdir("/tmp") == 0, "chdir /tmp");
}

void drop_privileges(const Prepared& p) {
  for (int capability = 0; capability <= 63; ++capability) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2]{};
  require(p, syscall(SYS_capset, &header, none) == 0, "capset");
}

void set_limits(const Prepared& p) {
  limit(p, RLIMIT_CPU, p.limits.cpu_seconds, "RLIMIT_CPU");
  limit(p, RLIMIT_AS, p.limits.memory_bytes, "RLIMIT_AS");
  limit(p, RLIMIT_FSIZE, p.limits.file_bytes, "RLIMIT_FSIZE");
  limit(p, RLIMIT_NOFILE, p.limits.open_files, "RLIMIT_NOFILE");
  limit(p, RLIMIT_CORE, 0, "RLIMIT_CORE");
  limit(p, RLIMIT_MEMLOCK, 0, "RLIMIT_MEMLOCK");
  limit(p, RLIMIT_MSGQUEUE, 0, "RLIMIT_MSGQUEUE");
}

// Descriptors 0 (closed), 1, 2 (output), 3 (input), 4 (answer); everything else closes at exec.
void place_descriptors(const Prepared& p) {
  // Out of the way first: any of them may be one of those numbers.
  const int input = fcntl(p.input, F_DUPFD_CLOEXEC, 16), output = fcntl(p.output, F_DUPFD_CLOEXEC, 16),
            answer = fcntl(p.answer, F_DUPFD_CLOEXEC, 16), report = fcntl(p.report, F_DUPFD_CLOEXEC, 16);
  require(p, input >= 0 && output >= 0 && answer >= 0 && report >= 0, "F_DUPFD_CLOEXEC");
  const_cast<Prepared&>(p).report = report;
  close(0);
  const bool placed = dup2(output, 1) == 1 && dup2(output, 2) == 2 && dup2(input, kInput) == kInput &&
                      dup2(answer, kAnswer) == kAnswer;
  require(p, placed, "dup2");
  require(p, syscall(SYS_close_range, 5U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) == 0, "close_range");
}

[[noreturn]] void become_program(const Prepared& p) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  setsid();
  place_descriptors(p);
  set_limits(p);
  require(p, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
  if (p.isolated) {
    drop_privileges(p);
    const sock_fprog filter{static_cast<unsigned short>(p.filter.size()),
                            const_cast<sock_filter*>(p.filter.data())};
    require(p, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0, "PR_SET_SECCOMP");
  }
  execve(p.arguments[0], p.arguments.data(), p.environment.data());
  give_up(p, "execve");
}

// The first process of its namespace: with it, all that may be left in there ends.
[[noreturn]] void be_first_process(const Prepared& p) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  char go = 0;
  if (read(p.start, &go, 1) != 1) _exit(126);
  if (p.isolated) {
    require(p, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "PR_SET_KEEPCAPS");
    require(p, syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0, "setresgid");
    require(p, syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0, "setresuid");
    // The kernel keeps what is permitted and clears what is in effect.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    require(p, syscall(SYS_capget, &header, data) == 0, "capget");
    for (auto& d : data) d.effective = d.permitted;
    require(p, syscall(SYS_capset, &header, data) == 0, "capset");
    build_file_system(p);
    require(p, sethostname("sandbox", 7) == 0, "sethostname");
  }
  const pid_t child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  require(p, child >= 0, "clone");
  if (child == 0) become_program(p);
  syscall(SYS_close_range, 0U, ~0U, 0U);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) _exit(128 + WTERMSIG(status));
  _exit(WEXITSTATUS(status));
}

void write_text(const std::string& path, const std::string& text) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.value < 0 || write(file.value, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail(path, errno);
}

// Inside, only user and group 65534. Outside that is them too where root asks, else whoever asks.
void map_users(pid_t child) {
  const std::string folder = fmt::format("/proc/{}/", child);
  const bool root = geteuid() == 0;
  write_text(folder + "setgroups", "deny");
  write_text(folder + "uid_map", fmt::format("{} {} 1\n", kNobody, root ? kNobody : geteuid()));
  write_text(folder + "gid_map", fmt::format("{} {} 1\n", kNobody, root ? kNobody : getegid()));
}

// Ends and reaps the child, whatever happens here.
struct Child {
  pid_t pid = -1;
  int status = 0;
  ~Child() { end(); }
  void end() {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    wait();
  }
  void wait() {
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
  }
};

// False when the other side is closed.
bool read_some(int descriptor, std::string& to, size_t most) {
  char chunk[16384];
  const ssize_t n = read(descriptor, chunk, sizeof chunk);
  if (n < 0) return errno == EINTR;
  to.append(chunk, std::min(static_cast<size_t>(n), most > to.size() ? most - to.size() : 0));
  return n > 0;
}

SandboxResult watch(Child& child, Pipe& output, Pipe& answer, const SandboxLimits& limits,
                    std::chrono::steady_clock::time_point start) {
  using Clock = std::chrono::steady_clock;
  const auto deadline =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits.seconds));
  SandboxResult result;
  const auto most = static_cast<size_t>(limits.output_bytes);
  pollfd watched[] = {{output.read.value, POLLIN, 0}, {answer.read.value, POLLIN, 0}};
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      result.end = SandboxResult::End::deadline;
      child.end();
      return result;
    }
    const int ready = poll(watched, 2, static_cast<int>(left) + 1);
    if (ready < 0 && errno != EINTR) fail("poll", errno);
    if (ready <= 0) continue;
    if (watched[0].revents != 0 && !read_some(watched[0].fd, result.output, most + 1)) watched[0].fd = -1;
    if (watched[1].revents != 0 && !read_some(watched[1].fd, result.answer, kMostAnswer)) watched[1].fd = -1;
    if (result.output.size() > most) {
      result.output.resize(most);
      result.end = SandboxResult::End::output;
      child.end();
      return result;
    }
  }
  // Both are closed: the last process has ended, or closed them and may sit on.
  const auto wait_until_deadline = [&] {
    while (waitpid(child.pid, &child.status, WNOHANG) == 0) {
      if (Clock::now() > deadline) return false;
      usleep(500);
    }
    child.pid = -1;
    return true;
  };
  if (!wait_until_deadline()) {
    result.end = SandboxResult::End::deadline;
    child.end();
    return result;
  }
  const int status = WIFEXITED(child.status) ? WEXITSTATUS(child.status) : 128 + WTERMSIG(child.status);
  result.end = status > 128 ? SandboxResult::End::killed : SandboxResult::End::exited;
  result.status = status > 128 ? status - 128 : status;
  return result;
}

SandboxResult run(const SandboxProgram& program, const SandboxLimits& limits, bool isolated) {
  Prepared p;
  p.isolated = isolated;
  p.limits = limits;
  for (const std::string& a : program.arguments) p.arguments.push_back(const_cast<char*>(a.c_str()));
  for (const std::string& e : program.environment) p.environment.push_back(const_cast<char*>(e.c_str()));
  p.arguments.push_back(nullptr);
  p.environment.push_back(nullptr);
  if (isolated) {
    p.entries = file_system(program.folders);
    static const std::vector<sock_filter> filter = syscall_filter();
    p.filter = filter;
    p.root_options = "size=1m,mode=755";
    p.tmp_options = fmt::format("size={},nr_inodes=1024,mode=1777", limits.file_bytes);
  }
  Pipe output, answer, report, start;
  Descriptor input = file_in_memory(program.input);
  p.input = input.value;
  p.output = output.write.value;
  p.answer = answer.write.value;
  p.report = report.write.value;
  p.start = start.read.value;

  const unsigned long spaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
                               CLONE_NEWUTS | CLONE_NEWCGROUP;
  const auto began = std::chrono::steady_clock::now();
  Child child{static_cast<pid_t>(syscall(SYS_clone, SIGCHLD | (isolated ? spaces : 0), 0, 0, 0, 0))};
  if (child.pid == 0) be_first_process(p);
  if (child.pid < 0) fail("clone with new namespaces (is kernel.unprivileged_userns_clone 0?)", errno);
  for (Descriptor* d : {&output.write, &answer.write, &report.write, &start.read, &input}) d->reset();
  if (isolated) map_users(child.pid);
  if (write(start.write.value, "g", 1) != 1) fail("start", errno);
  Report failed{};
  // Ends when the program has been put in the child's place.
  const ssize_t told = read(report.read.value, &failed, sizeof failed);
  if (told > 0) fail(failed.step, failed.error);
  return watch(child, output, answer, limits, began);
}

}  // namespace

SandboxResult run_sandboxed(const SandboxProgram& program, const SandboxLimits& limits) {
  return run(program, limits, true);
}

SandboxResult run_unsandboxed(const SandboxProgram& program, const SandboxLimits& limits) {
  return run(program, limits, false);
}

std::string sandbox_refusal() {
  try {
    const SandboxResult result = run_sandboxed({.arguments = {"/usr/bin/true"}});
    if (result.end == SandboxResult::End::exited && result.status == 0) return "";
    return "/usr/bin/true did not run";
  } catch (const SandboxError& error) {
    return error.what();
  }
}

}  // namespace lethe
