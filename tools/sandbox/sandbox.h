// A program run where it can do no harm: with namespaces of its own (users, processes, mounts, network), an
// empty file system, no capability, no new privilege, a list of refused system calls, and limits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/error.h"

namespace lethe {

// The kernel does not give what the sandbox needs; what() names the step and its error.
struct SandboxError : RunError {
  using RunError::RunError;
};

struct SandboxLimits {
  double seconds = 4;                       // of the clock; then it is killed, and all that it started
  int64_t cpu_seconds = 10;                 // of each process
  int64_t memory_bytes = int64_t{1} << 30;  // of addresses, of each process
  int64_t file_bytes = int64_t{16} << 20;   // of all files together, which lie in memory
  int64_t output_bytes = int64_t{1} << 20;  // of standard output and error; beyond it is killed
  int64_t open_files = 64;
};

struct SandboxProgram {
  std::vector<std::string> arguments;    // [0]: the program's absolute path
  std::vector<std::string> environment;  // "NAME=value"
  std::string input;                     // on descriptor 3, from its start; standard input is closed
  // Folders that it sees, read only, where they are, besides /usr and what belongs to it.
  std::vector<std::string> folders;
};

struct SandboxResult {
  enum class End { exited, killed, deadline, output };  // killed: by a signal, its own or a limit's
  End end = End::exited;
  int status = 0;      // exit status, or the signal's number
  std::string output;  // standard output and error together, at most output_bytes
  std::string answer;  // what it wrote to descriptor 4, at most 4 KiB
};

// Runs it to its end. It starts in /tmp, an empty folder of its own that goes with it, as user 65534, cannot
// start processes but threads, and has no network, no /proc, and of /dev only null, zero, random and urandom.
// May be called from several threads at once. Throws SandboxError before the program begins.
SandboxResult run_sandboxed(const SandboxProgram& program, const SandboxLimits& limits = {});

// The same limits of time, memory and output in an ordinary process: for those who typed --unsafe-exec.
SandboxResult run_unsandboxed(const SandboxProgram& program, const SandboxLimits& limits = {});

// Why this machine cannot sandbox, or "".
std::string sandbox_refusal();

}  // namespace lethe
