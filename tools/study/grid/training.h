// The jobs that train: a base, a run, or a cooldown branch of one.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/run/training_run.h"
#include "tools/study/grid/jobs.h"
#include "tools/study/grid/journal.h"
#include "tools/study/grid/texts.h"

namespace lethe::grid {

struct Place {
  std::string output;  // of the study
  std::string folder(const std::string& job) const { return output + "/jobs/" + job; }
  std::string model(const std::string& job) const { return folder(job) + "/model"; }
  // What a run starts from: a trained base's model or the user's.
  std::string base_model(const Base& base) const {
    return base.path.empty() ? model("base." + base.name) : base.path;
  }
};

// The learning rate whose sweep's run came to the least loss of the target; throws RunError if all diverged.
double chosen_rate(const Run& run, const Journal& journal);

struct Trained {
  std::vector<nlohmann::json> lines;  // without the "job" line
  std::string device;
  double tokens_per_second = 0;
  int64_t peak_bytes = 0;
  bool finished = false;  // else stopped: its checkpoint is kept
};

// All that a run reads, opened and checked. Throws what opening throws.
PreparedRun prepare_job(const Study& study, const Place& place, const Job& job, Texts& texts,
                        double learning_rate);

Trained train_job(const Study& study, const Place& place, const Job& job, Texts& texts,
                  const Journal& journal, const std::function<bool()>& should_stop);

// The losses of a base on the texts of one of its experiments, as that experiment's runs are measured: lines
// of the base's own job. end: where the base's run ended.
Trained score_base(const Study& study, const Place& place, const Job& job, Texts& texts, const RunEnd& end);

// The "run" line of a job whose options and course are settled.
nlohmann::json run_line(const Job& job, const PreparedRun& run, double learning_rate, int64_t trainable,
                        bool diverged);

}  // namespace lethe::grid
