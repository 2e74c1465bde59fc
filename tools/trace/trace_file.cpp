#include "tools/trace/trace_file.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "engine/backend/backend.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/trace/timeline_json.h"

namespace lethe {

void TraceFile::add_options(CLI::App& app) {
  app.add_option("--trace", path_, "write a timeline of the last steps on the GPU, for ui.perfetto.dev")
      ->type_name("FILE");
  app.add_option("--trace-steps", steps_, "how many steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

std::shared_ptr<CudaTrace> TraceFile::load(const std::string& device) {
  if (path_.empty()) return nullptr;
  if (device == "cpu" || (device == "auto" && !cuda_is_available())) {
    throw ConfigError("--trace", "is of a GPU; this run's device is the CPU");
  }
  trace_ = CudaTrace::load();
  return trace_;
}

void TraceFile::before_step(int64_t step, int64_t steps) {
  if (trace_ && !trace_->running() && step > steps - steps_) trace_->start();
}

void TraceFile::finish() {
  if (!trace_) return;
  trace_->stop();
  const Timeline timeline = trace_->take();
  replace_file(path_, timeline_json(timeline));
  log::info(
      fmt::format("{}: {} records; {}", path_, timeline.records.size(), summary_text(summarise(timeline))));
  if (timeline.dropped > 0) log::warning(fmt::format("{} records were lost", timeline.dropped));
}

}  // namespace lethe
