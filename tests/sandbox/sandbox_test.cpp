// Programs that mean harm, and the decisions that human-eval's rules make of each.
#include "tools/sandbox/sandbox.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/files.h"
#include "tools/sandbox/python_program.h"

namespace lethe::test {
namespace {

namespace fs = std::filesystem;

#define LETHE_NEEDS_SANDBOX()                                  \
  if (const std::string why = sandbox_refusal(); !why.empty()) \
  GTEST_SKIP() << "this kernel does not let us make a sandbox: " << why

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The sandbox's first process is a child of ours, and with it the kernel ends all others of its namespace.
bool has_child() {
  return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD;
}

struct Verdict {
  const char *name, *program;
  bool passes;
};

void PrintTo(const Verdict& v, std::ostream* out) {
  *out << v.name;
}

class Rules : public testing::TestWithParam<Verdict> {};

TEST_P(Rules, DecideAsHumanEvalDoes) {
  LETHE_NEEDS_SANDBOX();
  const PythonVerdict verdict = run_python(GetParam().program);
  EXPECT_EQ(verdict.passed, GetParam().passes) << verdict.result;
}

INSTANTIATE_TEST_SUITE_P(
    HumanEval, Rules,
    testing::Values(Verdict{"plain", "assert 1 + 1 == 2", true}, Verdict{"empty", "", true},
                    Verdict{"wrong", "assert 1 + 1 == 3", false}, Verdict{"no_python", "def f(:", false},
                    Verdict{"sys_exit", "import sys\nsys.exit(0)", false}, Verdict{"exit", "exit()", false},
                    Verdict{"underscore_exit", "import os\nos._exit(0)", false},
                    Verdict{"main_does_not_run", "if __name__ == '__main__':\n    raise Exception", true},
                    Verdict{"name_is_builtins", "assert __name__ == 'builtins'", true},
                    Verdict{"no_file", "__file__", false},
                    Verdict{"input", "try:\n    input()\n    raise Exception('read')\nexcept OSError: pass",
                            true},
                    Verdict{"slow", "import time\ntime.sleep(2)", true},
                    Verdict{"too_slow", "import time\ntime.sleep(3.5)", false},
                    Verdict{"swallows_the_timeout",
                            "import time\ntry:\n    time.sleep(3.4)\nexcept BaseException: pass", true},
                    Verdict{"prints", "print('x')", true}, Verdict{"getcwd", "import os\nos.getcwd()", false},
                    Verdict{"resource", "import resource", false},
                    Verdict{"own_file", "open('a.txt', 'w').write('x')", true},
                    Verdict{"endless_recursion", "def f(): f()\nf()", false},
                    Verdict{"unicode", "assert len('\u00e4\u4e2d') == 2", true},
                    Verdict{"keyboard_interrupt", "raise KeyboardInterrupt", false}),
    [](const auto& v) { return std::string(v.param.name); });

TEST(Rules, AZeroByteIsAnError) {
  LETHE_NEEDS_SANDBOX();
  EXPECT_FALSE(run_python(std::string("x = 1\n#\0\n", 9)).passed);
}

struct Attack {
  const char *name, *program, *because;  // what stopped it, as the verdict says
};

void PrintTo(const Attack& a, std::ostream* out) {
  *out << a.name;
}

class Hostile : public testing::TestWithParam<Attack> {};

// What is refused shows as an exception, so that a program that gets through its own attack fails the test.
TEST_P(Hostile, DoesNoHarmAndFails) {
  LETHE_NEEDS_SANDBOX();
  const std::string mounts = bytes_of("/proc/self/mounts");
  const auto start = std::chrono::steady_clock::now();
  // The modules as they were before the rules' own guards: the sandbox has to hold without them.
  const std::string program = std::string(
                                  "import ctypes, importlib, os, posix, socket, sys, threading, time\n"
                                  "libc = ctypes.CDLL(None, use_errno=True)\n"
                                  "def call(*a):\n"
                                  "    r = libc.syscall(*a)\n"
                                  "    if r < 0: raise OSError(ctypes.get_errno(), 'refused')\n"
                                  "    return r\n") +
                              GetParam().program;
  const PythonVerdict verdict = run_python(program);
  EXPECT_FALSE(verdict.passed) << verdict.result;
  EXPECT_NE(verdict.result.find(GetParam().because), std::string::npos) << verdict.result;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(6));
  EXPECT_FALSE(has_child());
  EXPECT_EQ(bytes_of("/proc/self/mounts"), mounts);
}

INSTANTIATE_TEST_SUITE_P(
    Programs, Hostile,
    testing::Values(
        Attack{"fork_bomb", "while True: posix.fork()", "PermissionError"},
        Attack{"clone_bomb", "while True: call(56, 17, 0, 0, 0, 0)", "PermissionError"},
        Attack{
            "thread_bomb",
            "def f():\n    while True: threading.Thread(target=f).start()\nf()\nraise Exception('through')",
            "start new thread"},
        Attack{"endless_loop", "while True: pass", "timed out"},
        Attack{"endless_loop_without_timer",
               "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass", "timed out"},
        Attack{"ignores_signals",
               "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    "
               "except Exception: pass\n"
               "while True: time.sleep(1)",
               "timed out"},
        Attack{"memory", "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 26))",
               "Cannot allocate memory"},
        Attack{"memory_at_once", "bytearray(1 << 31)", "MemoryError"},
        Attack{"writes_outside", "open('/usr/lethe_was_here', 'w')", "Read-only"},
        Attack{"writes_beside_root", "open('/lethe_was_here', 'w')", "Read-only"},
        Attack{"fills_its_folder",
               "for i in range(10000):\n    with open(f'/tmp/{i}', 'wb') as f: f.write(bytes(1 << 20))",
               "No space left"},
        Attack{"large_file", "f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
               "File too large"},
        Attack{"internet_socket", "socket.socket(socket.AF_INET)", "not permitted"},
        Attack{"unix_socket", "socket.socket(socket.AF_UNIX)", "not permitted"},
        Attack{"vsock", "call(41, 40, 1, 0)", "refused"},
        Attack{"raw_packets", "call(41, 17, 3, 0)", "refused"},
        Attack{"kills_its_parent",
               "for p in (posix.getppid(), 1, -1):\n    for s in (9, 15):\n        libc.kill(p, s)\n"
               "time.sleep(0.2)\nraise Exception('nobody died')",
               "nobody died"},
        Attack{"prints_gigabytes", "while True: print('x' * (1 << 24))", "too much output"},
        Attack{"writes_gigabytes", "while True: posix.write(1, b'x' * (1 << 16))", "too much output"},
        Attack{"answers_gigabytes", "while True: posix.write(4, b'x' * (1 << 16))", "failed"},
        Attack{"becomes_root", "posix.setuid(0)", "Invalid argument"},
        Attack{"new_namespace", "call(272, 0x10000000)", "refused"},
        Attack{"mounts", "call(165, b'x', b'/tmp', b'tmpfs', 0, 0)", "refused"},
        Attack{"traces", "call(101, 16, 1, 0, 0)", "refused"},
        Attack{"reads_processes", "open('/proc/self/environ').read()", "No such file"},
        Attack{"reads_passwords", "open('/etc/passwd').read()", "No such file"},
        Attack{"reads_disks", "posix.listdir('/sys')", "No such file"},
        Attack{"reads_home", "posix.listdir('/root')", "No such file"},
        Attack{"crashes", "ctypes.string_at(0)", "signal 11"},
        Attack{"starts_a_shell", "posix.execv('/bin/sh', ['sh', '-c', 'exit 0'])", "status 0"},
        Attack{"claims_to_have_passed", "posix.write(4, b'passed')\nposix._exit(0)", "answer of its own"},
        Attack{"closes_everything", "[libc.close(i) for i in range(64)]\ntime.sleep(30)", "ended early"}),
    [](const auto& v) { return std::string(v.param.name); });

TEST(Sandbox, SeesAnEmptyFolderAndNoAnswerFile) {
  LETHE_NEEDS_SANDBOX();
  const Folder folder;
  const std::string answers = write_text(folder / "answers.txt", "42");
  EXPECT_FALSE(run_python("open('" + answers + "').read()").passed);
  const PythonVerdict verdict = run_python(
      "import os\nassert os.listdir('/tmp') == []\n"
      "assert set(os.listdir('/')) <= set('bin dev lib lib32 lib64 libx32 sbin tmp usr'.split())\n"
      "assert sorted(os.listdir('/dev')) == ['null', 'random', 'urandom', 'zero']\n"
      "assert os.getuid() == 65534 == os.geteuid()\n"
      "assert len(os.urandom(8)) == 8");
  EXPECT_TRUE(verdict.passed) << verdict.result;
}

TEST(Sandbox, RunsMayBeSideBySideAndDoNotMeet) {
  LETHE_NEEDS_SANDBOX();
  std::vector<std::thread> threads;
  std::vector<int> passed(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &passed] {
      const std::string mine = std::to_string(t);
      for (int i = 0; i < 5; ++i)
        passed[static_cast<size_t>(t)] +=
            run_python("import os\nassert os.listdir('.') == []\nopen('" + mine +
                       "', 'w')\nassert os.listdir('.') == ['" + mine + "']")
                .passed;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(passed, std::vector<int>(4, 5));
}

TEST(Sandbox, TellsHowAProgramEnded) {
  LETHE_NEEDS_SANDBOX();
  SandboxResult r = run_sandboxed({.arguments = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}});
  EXPECT_EQ(r.end, SandboxResult::End::exited);
  EXPECT_EQ(r.status, 7);
  EXPECT_EQ(r.output, "out\nerr\n");
  r = run_sandboxed({.arguments = {"/bin/sh", "-c", "kill -ABRT $$"}});
  EXPECT_EQ(r.end, SandboxResult::End::killed);
  EXPECT_EQ(r.status, SIGABRT);
  r = run_sandboxed({.arguments = {"/bin/sh", "-c", "exec sleep 9"}}, {.seconds = 0.2});
  EXPECT_EQ(r.end, SandboxResult::End::deadline);
  r = run_sandboxed({.arguments = {"/bin/sh", "-c", "read a <&3; echo \"$a\" >&4"}, .input = "line\n"});
  EXPECT_EQ(r.answer, "line\n");
  r = run_sandboxed({.arguments = {"/bin/sh", "-c", "while :; do echo 0123456789; done"}},
                    {.output_bytes = 1000});
  EXPECT_EQ(r.end, SandboxResult::End::output);
  EXPECT_EQ(r.output.size(), 1000u);
  EXPECT_THROW(run_sandboxed({.arguments = {"/usr/bin/no_such_program"}}), SandboxError);
  EXPECT_THROW(run_python("", {.interpreter = "/usr/bin/no_such_python"}), RunError);
}

TEST(Unsandboxed, DecidesTheSame) {
  EXPECT_TRUE(run_python("assert 1 + 1 == 2", {.sandboxed = false}).passed);
  EXPECT_FALSE(run_python("assert 1 + 1 == 3", {.sandboxed = false}).passed);
  EXPECT_EQ(run_python("while True: pass", {.seconds = 0.3, .sandboxed = false}).result, "timed out");
}

}  // namespace
}  // namespace lethe::test
