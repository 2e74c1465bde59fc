// The lines of a grid study's results.jsonl: what was run, and what each run scored.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lethe::analysis {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

struct StudyInfo {
  std::string name, created, device, version, command;
  int64_t hidden_size = 0, layers = 0, parameters = 0;
  int64_t sequence_length = 0, batch_tokens = 0;
};

// One finished job of the grid.
struct Job {
  std::string id, stage, device;  // stage: base, train, branch, score, eval, spectrum or samples
  std::vector<std::string> depends_on;
  double seconds = unknown, peak_bytes = unknown, tokens_per_second = unknown, gpu_seconds = unknown;
};

// One model that was trained. 0 and "" stand for none.
struct Run {
  std::string job, base;
  std::string family, target, method, modules;  // family: base, cpt or ift
  int64_t rank = 0;
  double alpha = unknown, learning_rate = unknown;
  int64_t seed = 0;
  double weight_decay = 0, attention_dropout = 0;
  double replay = 0;  // share of the old domain's tokens mixed into training
  double scale = 1;   // what the update was multiplied by after training
  double duration_tokens = unknown, epochs = unknown;
  int64_t steps = 0;
  double trainable_parameters = unknown;
  bool diverged = false;
  int64_t width = 0;
  double base_tokens = unknown, base_target_share = unknown;

  bool is_base() const { return family == "base"; }
  bool is_full() const { return method == "full"; }
};

enum class Role { learning, forgetting };

// What a model scored on held-out text or on a benchmark. Losses are in nats per token, all else are shares.
// A line whose step is null was scored at the end of its run.
struct Score {
  std::string job;
  int64_t step = 0;
  double tokens = unknown;
  Role role = Role::learning;
  std::string name, metric;
  double value = unknown, standard_error = unknown;
};

// The change of one map since the base.
struct ChangeSpectrum {
  std::string job, module;
  double tokens = unknown;
  int64_t layer = 0, rows = 0, columns = 0, rank90 = 0;
  std::vector<double> singular_values;  // descending, the largest; no figure draws them
  double stable_rank = unknown, effective_rank = unknown;
  int64_t intruder_dimensions = -1;  // -1: not counted
};

// What a model wrote when it was asked many times.
struct Samples {
  std::string job, task;
  std::vector<double> k, pass_at_k;
  double unique = unknown;  // mean share of distinct outputs
};

struct Records {
  StudyInfo study;
  std::vector<Job> jobs;
  std::vector<Run> runs;
  std::vector<Score> scores;
  std::vector<ChangeSpectrum> spectra;
  std::vector<Samples> samples;

  const Job* find_job(const std::string& id) const;
  // The run of the job of that id, or else of what the job depends on: an evaluation names what it looked at.
  // nullptr: there is none.
  const Run* run_of(const std::string& job) const;
};

// Whether the file is of this kind, and not that of a study of one comparison (report/results.h).
bool is_grid_study(const std::string& path);

// Reads and checks the whole file. JSON null stands for none and for a number that was not finite. Throws
// IoError, and FormatError naming line and key: text that is not JSON, an unknown kind or word, a missing key
// or one of another type, no study line first or two of them, a job told twice, a line of a job without a
// run.
Records read_records(const std::string& path);

}  // namespace lethe::analysis
