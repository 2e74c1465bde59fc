// --trace FILE and --trace-steps N: the last steps of a run as a timeline in a file.
#pragma once

#include <memory>
#include <string>

#include "engine/backend/cuda_trace.h"

namespace CLI {
class App;
}

namespace lethe {

class TraceFile {
 public:
  void add_options(CLI::App& app);
  // Before the backend is made. Null where no trace was asked for; throws ConfigError on a device other than
  // a GPU, DeviceError where CUPTI is missing.
  std::shared_ptr<CudaTrace> load(const std::string& device);
  // Before step `step` of `steps` is queued.
  void before_step(int64_t step, int64_t steps);
  // After the last step's result was taken: writes the file and says on the log what is in it. Throws
  // IoError.
  void finish();

 private:
  std::string path_;
  int64_t steps_ = 3;
  std::shared_ptr<CudaTrace> trace_;
};

}  // namespace lethe
