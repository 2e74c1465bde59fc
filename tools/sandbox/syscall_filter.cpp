#include "tools/sandbox/syscall_filter.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "tools/sandbox/sandbox.h"

namespace lethe {
namespace {

constexpr const char* kRefused[] = {
    // processes, and other processes' insides
    "fork", "vfork", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
    // namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at",
    // the network, also those parts of it that no namespace holds
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
    // the kernel and the machine
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "add_key", "request_key", "keyctl", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday",
    "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog", "iopl", "ioperm",
    "personality", "vhangup", "nfsservctl", "lookup_dcookie", "fanotify_init", "memfd_secret", "seccomp"};

}  // namespace

std::vector<sock_filter> syscall_filter() {
  const std::unique_ptr<void, decltype(&seccomp_release)> context(seccomp_init(SCMP_ACT_ALLOW),
                                                                  seccomp_release);
  if (!context) throw SandboxError("seccomp_init failed");
  const auto check = [](const char* what, int code) {
    if (code < 0) throw SandboxError(std::string(what) + ": " + std::strerror(-code));
  };
  for (const char* name : kRefused) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) continue;  // this architecture has no such call
    check(name, seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(EPERM), number, 0));
  }
  // A clone that is no thread is a process; with a flag of a new namespace it is no thread.
  check("clone", seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)));
  check("clone3", seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));

  const int file = memfd_create("filter", MFD_CLOEXEC);
  if (file < 0) throw SandboxError(std::string("memfd_create: ") + std::strerror(errno));
  const int exported = seccomp_export_bpf(context.get(), file);
  const off_t bytes = lseek(file, 0, SEEK_END);
  std::vector<sock_filter> program(bytes > 0 ? static_cast<size_t>(bytes) / sizeof(sock_filter) : 0);
  const ssize_t read = pread(file, program.data(), program.size() * sizeof(sock_filter), 0);
  close(file);
  check("seccomp_export_bpf", exported);
  if (program.empty() || read != bytes) throw SandboxError("seccomp_export_bpf: wrote nothing");
  return program;
}

}  // namespace lethe
