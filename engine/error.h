// The two ways a command ends badly. Everything thrown in Lethe derives from one of them; only tools/ turns
// them into text and an exit status.
#pragma once

#include <stdexcept>
#include <string>

namespace lethe {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The request was wrong: nothing was touched (exit status 2).
class RequestError : public Error {
 public:
  using Error::Error;
};

// The work failed underway: the message says what, where and what is still safe (exit status 1).
class RunError : public Error {
 public:
  using Error::Error;
};

// An option or configuration key: unknown, of the wrong type or out of range.
struct ConfigError : RequestError {
  ConfigError(const std::string& key_, const std::string& what_is_wrong)
      : RequestError(key_ + ": " + what_is_wrong), key(key_) {}
  std::string key;
};

// A file whose bytes do not say what its format requires. `where`: tensor, key or line.
struct FormatError : RequestError {
  FormatError(const std::string& file_, const std::string& where_, const std::string& what_is_wrong)
      : RequestError(file_ + (where_.empty() ? "" : ": " + where_) + ": " + what_is_wrong),
        file(file_),
        where(where_) {}
  std::string file, where;
};

// Shapes or dtypes that do not fit an operation or a model. `path`: the node or tensor.
struct ShapeError : RequestError {
  ShapeError(const std::string& path_, const std::string& what_is_wrong)
      : RequestError(path_ + ": " + what_is_wrong), path(path_) {}
  std::string path;
};

// A corpus, batch or token stream that cannot be trained on.
struct DataError : RequestError {
  using RequestError::RequestError;
};

// A program that does not fit: names the tensor that crosses the budget, the bytes asked and the bytes there.
struct MemoryError : RequestError {
  MemoryError(const std::string& tensor_, const std::string& what_is_wrong)
      : RequestError(tensor_ + ": " + what_is_wrong), tensor(tensor_) {}
  std::string tensor;
};

// The operating system refused to read or write.
struct IoError : RunError {
  IoError(const std::string& file_, const std::string& what_is_wrong)
      : RunError(file_ + ": " + what_is_wrong), file(file_) {}
  std::string file;
};

// A GPU, its driver or one of its libraries failed, or cannot do what a program asks. `what_failed`: the node
// or call.
struct DeviceError : RunError {
  DeviceError(const std::string& what_failed_, const std::string& what_is_wrong)
      : RunError(what_failed_ + ": " + what_is_wrong), what_failed(what_failed_) {}
  std::string what_failed;
};

// The processes of a run cannot reach each other. `call`: what failed.
struct CommError : RunError {
  CommError(const std::string& call_, const std::string& what_is_wrong)
      : RunError(call_ + ": " + what_is_wrong), call(call_) {}
  std::string call;
};

// A loss or gradient that is no longer a number: the step was not taken.
struct DivergedError : RunError {
  using RunError::RunError;
};

}  // namespace lethe
