// What `lethe study --dry-run` prints of a grid.
#include <fmt/format.h>

#include <map>

#include "engine/checkpoint.h"
#include "tools/run/programs.h"
#include "tools/run/training_run.h"
#include "tools/study/grid/runner.h"
#include "tools/study/grid/training.h"

namespace lethe::grid {
namespace {

struct Size {
  int64_t trainable = 0, checkpoint_bytes = 0;
};

class Description {
 public:
  explicit Description(const Request& request)
      : study_(read_study(request.file, request.assignments)), jobs_(jobs_of(study_)) {}

  std::string text() {
    text_ = fmt::format("{}: {} jobs\n", study_.name, jobs_.size());
    text_ += fmt::format("{:<44} {:>10} {:>8} {:>8} {:>8} {:>8} {:>13} {:>9} {:>8}\n", "job", "rate",
                         "batches", "from", "warm-up", "cooldown", "trainable", "seconds", "GB");
    for (const Job& job : jobs_) add(job);
    text_ += fmt::format("{} jobs, {:.2f} GPU hours, {:.1f} GB written in all\n", jobs_.size(),
                         seconds_ / 3600, bytes_ / 1e9);
    if (unknown_) text_ += "runs without tokens_per_second of their base count no time of their own\n";
    return text_;
  }

 private:
  void add(const Job& job) {
    if (job.stage == "eval" || job.stage == "score" || job.stage == "spectrum" ||
        (job.stage == "base" && !job.run.base->path.empty())) {
      text_ += fmt::format("{:<44} {}\n", job.id, job.stage);
      return;
    }
    const Base& b = *job.run.base;
    TrainOptions o = options_of(study_, job.run, "");
    const Course c = course_of(job.run.experiment, o, job.run.duration, rows_of(job.run));
    const Size size = size_of(job.run, o);
    const bool trapezoid = o.schedule.name == "inverse_sqrt" && job.run.experiment != nullptr;
    const int64_t from = job.stage == "branch" ? c.cooldown_start : 0;
    const double tokens = static_cast<double>((c.steps - from) * o.train.batch_size * o.data.sequence_length);
    const double seconds = b.tokens_per_second > 0 ? study_.start_seconds + tokens / b.tokens_per_second : 0;
    unknown_ = unknown_ || b.tokens_per_second == 0;
    seconds_ += seconds;
    const double kept =
        static_cast<double>(job.run.branches.size() + 1) * static_cast<double>(size.checkpoint_bytes);
    bytes_ += kept;
    text_ += fmt::format("{:<44} {:>10} {:>8} {:>8} {:>8} {:>8} {:>13} {:>9.0f} {:>8.2f}\n", job.id,
                         job.run.experiment == nullptr || job.run.learning_rate > 0
                             ? fmt::format("{:g}", o.optimizer.learning_rate)
                             : "best",
                         c.steps, from, c.warmup, trapezoid ? c.steps - c.cooldown_start : 0, size.trainable,
                         seconds, kept / 1e9);
  }

  // Epochs need to know how many sequences one has; a text may say so.
  int64_t rows_of(const Run& run) const {
    return run.experiment != nullptr ? study_.text(run.experiment->target).rows : 0;
  }

  Size size_of(const Run& run, const TrainOptions& o) {
    const std::string key =
        run.base->name + "|" + (run.experiment ? run.experiment->name : "") + "|" + run.label;
    const auto found = sizes_.find(key);
    if (found != sizes_.end()) return found->second;
    ProgramSpec spec = program_spec_of(o, config_of(run, o));
    const Programs programs = record_programs(spec, false);
    Size size;
    for (const int32_t i : programs.state->trainable())
      size.trainable += elements_of((*programs.state)[i].shape);
    size.checkpoint_bytes = checkpoint_bytes(*programs.state, tensors_to_save(*programs.state));
    return sizes_[key] = size;
  }

  LlamaConfig config_of(const Run& run, const TrainOptions& o) const {
    if (run.base->config.empty() && run.base->config_path.empty())
      return open_model_folder(run.base->path).config;
    return model_config(o.model);
  }

  Study study_;
  std::vector<Job> jobs_;
  std::map<std::string, Size> sizes_;
  std::string text_;
  double seconds_ = 0, bytes_ = 0;
  bool unknown_ = false;
};

}  // namespace

std::string describe_grid(const Request& request) {
  return Description(request).text();
}

}  // namespace lethe::grid
