// Whether a Python program runs to its end without an exception: what HumanEval and MBPP ask of generated
// code.
#pragma once

#include <string>

#include "tools/sandbox/sandbox.h"

namespace lethe {

struct PythonOptions {
  double seconds =
      3;  // then a TimeoutException is raised inside the program, once; a second later it is killed
  std::string interpreter = "/usr/bin/python3";
  bool sandboxed = true;      // false: an ordinary process, for those who typed --unsafe-exec
  SandboxLimits limits = {};  // but for the seconds
};

struct PythonVerdict {
  bool passed = false;
  std::string result;  // "passed", "timed out", or "failed: " and the exception's text or what ended it
};

// As human-eval and Hugging Face's code_eval decide: the program is executed with empty globals (__name__ is
// "builtins"), standard input cannot be read, output is swallowed, os.kill, os.fork, subprocess.Popen and
// their like are None, and any exception, SystemExit too, is a failure. Beyond them, more than 64 MiB of
// output is an exception. Throws SandboxError as run_sandboxed does, RunError if there is no such
// interpreter.
PythonVerdict run_python(const std::string& program, const PythonOptions& options = {});

// "Python 3.11.2". Throws RunError if there is no such interpreter.
std::string python_version(const std::string& interpreter);

}  // namespace lethe
