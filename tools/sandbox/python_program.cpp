#include "tools/sandbox/python_program.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <filesystem>

#include "tools/process.h"

namespace lethe {
namespace {

// Descriptor 3: a line of token and seconds, then the program. Descriptor 4: the token if it passed, else
// what was wrong. The token is what a program cannot write that ends before its end.
constexpr const char* kPrelude = R"(
import builtins, faulthandler, io, os, shutil, signal, subprocess, sys


def main():
    head, _, text = open(3, "rb").read().partition(b"\n")
    token, seconds = head.split()
    text = text.decode("utf-8")
    answer, leave = os.write, os._exit

    class TimeoutException(Exception):
        pass

    class Swallowed(io.StringIO):
        left = 64 << 20

        def write(self, written):
            Swallowed.left -= len(written)
            if Swallowed.left < 0:
                raise OSError("too much output")
            return len(written)

        def read(self, *_):
            raise OSError("standard input cannot be read")

        readline = readlines = read

        def readable(self):
            return False

    def late(*_):
        raise TimeoutException("timed out")

    faulthandler.disable()
    for name in ("exit", "quit", "help"):
        setattr(builtins, name, None)
    for name in ("kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate "
                 "replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir").split():
        setattr(os, name, None)
    shutil.rmtree = shutil.move = shutil.chown = None
    subprocess.Popen = None
    for name in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
        sys.modules[name] = None
    sys.stdin = sys.stdout = sys.stderr = Swallowed()
    result = b""
    try:
        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        try:
            exec(text, {})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        result = token
    except TimeoutException:
        result = b"timed out"
    except BaseException as error:
        result = f"failed: {type(error).__name__}: {error}".encode("utf-8", "replace")[:2000]
    answer(4, result)
    leave(0)


main()
)";

std::string fresh_token() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) throw RunError("getrandom gave no random bytes");
  std::string token;
  for (const unsigned char b : bytes) token += fmt::format("{:02x}", b);
  return token;
}

// The folder that an interpreter outside /usr was installed in: the parent of its bin.
std::vector<std::string> folders_of(const std::string& interpreter) {
  namespace fs = std::filesystem;
  std::vector<std::string> folders;
  for (const fs::path& path : {fs::path(interpreter), fs::canonical(interpreter)}) {
    const std::string folder = path.parent_path().parent_path().string();
    if (folder.size() > 1 && !folder.starts_with("/usr") &&
        std::ranges::find(folders, folder) == folders.end())
      folders.push_back(folder);
  }
  return folders;
}

void require_interpreter(const std::string& path) {
  std::error_code error;
  if (!path.starts_with("/") || !std::filesystem::exists(path, error))
    throw RunError(path + ": there is no such Python interpreter (its whole path is needed)");
}

std::string what_ended(const SandboxResult& r) {
  switch (r.end) {
    case SandboxResult::End::deadline:
      return "timed out";
    case SandboxResult::End::output:
      return "failed: too much output";
    case SandboxResult::End::killed:
      return fmt::format("failed: ended by signal {}", r.status);
    case SandboxResult::End::exited:
      break;
  }
  if (r.answer.empty()) return fmt::format("failed: ended early with status {}", r.status);
  const bool known = r.answer == "timed out" || r.answer.starts_with("failed: ");
  return known ? r.answer : "failed: wrote an answer of its own";
}

}  // namespace

PythonVerdict run_python(const std::string& program, const PythonOptions& options) {
  require_interpreter(options.interpreter);
  const std::string token = fresh_token();
  const SandboxProgram python{
      .arguments = {options.interpreter, "-B", "-c", kPrelude},
      .environment = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "PYTHONHASHSEED=0",
                      "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"},
      .input = fmt::format("{} {}\n{}", token, options.seconds, program),
      .folders = folders_of(options.interpreter)};
  SandboxLimits limits = options.limits;
  limits.seconds = options.seconds + 1;
  const SandboxResult r = options.sandboxed ? run_sandboxed(python, limits) : run_unsandboxed(python, limits);
  const bool passed = r.end == SandboxResult::End::exited && r.answer == token;
  return {passed, passed ? "passed" : what_ended(r)};
}

std::string python_version(const std::string& interpreter) {
  require_interpreter(interpreter);
  std::string text = run_process({interpreter, "--version"}).output;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace lethe
