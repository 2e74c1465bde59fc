// What all runs of a study share: tokenizer, data, the base, and how one run is made and measured.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/run/training_run.h"
#include "tools/study/results_log.h"
#include "tools/study/study.h"

namespace lethe {

// Tokenized texts of a study.
struct StudyData {
  std::string tokenizer_path;
  std::shared_ptr<const Tokenizer> tokenizer;
  TrainingSource source, mix, target;  // to train on
  std::vector<Domain> domains;         // "source" and "target", held out
  double source_entropy = 0,
         target_entropy = 0;  // unigram entropy of the held-out tokens' distribution, nats
};

StudyData prepare_study_data(const StudyOptions& options, const StudyTexts& texts);

// One run of the study.
struct StudyRun {
  std::string name;   // "full", "lora-r16", "base"
  std::string label;  // "LoRA r=16"
  std::string method = "full";
  int64_t rank = 0;
  double learning_rate = 0;
  int64_t steps = 0;
  bool is_base = false;
};

struct RunOutcome {
  std::vector<EvaluationRecord> evaluations;
  double seconds = 0, tokens_per_second = 0;
  int64_t trainable = 0;
  std::string device;     // what it ran on: "cpu" or "cuda"
  bool diverged = false;  // loss or gradient became non-finite

  // The last held-out loss of a domain; NaN if the run diverged.
  double last_loss(const std::string& domain) const;
};

class Experiment {
 public:
  Experiment(const StudyOptions& options, const StudyData& data, std::string base_folder)
      : options_(options), data_(data), base_folder_(std::move(base_folder)) {}

  // Trains and measures at `points` places (and at the start); exports into export_folder unless it is empty.
  RunOutcome run(const StudyRun& run, int64_t points, const std::string& export_folder) const;

  const std::string& base_folder() const { return base_folder_; }

 private:
  PreparedRun prepare(const StudyRun& run, int64_t points) const;

  const StudyOptions& options_;
  const StudyData& data_;
  std::string base_folder_;
};

// "Full fine-tuning", "LoRA r=16".
std::string label_of(const std::string& method, int64_t rank);

}  // namespace lethe
