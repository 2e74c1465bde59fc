// A benchmark of written answers, from its documents to its numbers.
#pragma once

#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/eval/generation_task.h"
#include "tools/eval/scored_run.h"
#include "tools/eval/summary.h"

namespace lethe::eval {

struct GenerationOptions {
  std::optional<int64_t> shots;  // absent: the task's own
  int64_t samples = 1;           // texts of each document
  double temperature = 0;        // 0: the most probable token each time
  double top_p = 1;
  uint64_t seed = 1;
  std::optional<int64_t> max_new_tokens;  // absent: the task's own
  PythonOptions python;
};

class GenerationRun {
 public:
  // A text that is wanted.
  struct Ask {
    size_t document = 0;
    int64_t sample = 0;
  };

  // Reads the documents and draws the examples. Throws DataError, FormatError.
  GenerationRun(const GenerationTask& task, const RunOptions& data, const GenerationOptions& options);

  const GenerationTask& task() const { return *task_; }
  const GenerationOptions& options() const { return options_; }
  int64_t max_new_tokens() const { return options_.max_new_tokens.value_or(task_->max_new_tokens); }

  // Takes a result of an earlier run; false if it is none of this benchmark's documents.
  bool restore(const nlohmann::json& line);
  // All samples of all documents without a result.
  std::vector<Ask> asks() const;
  const std::string& prompt(size_t document) const { return items_[document].prompt; }
  // Judges a text, already cut; several threads may. Returns the document's result when it was the last that
  // it needed.
  std::optional<nlohmann::json> take(const Ask& ask, const std::string& text);
  // Of all documents that have a result: the mean of each metric and, of several samples, pass@k for k = 1,
  // 2, 4 ... and 10, 100 up to their number. Throws DataError if none has.
  Summary summary() const;

 private:
  struct Item {
    std::string prompt;
    std::vector<int64_t> shots;  // places in the pool
    std::vector<std::string> texts, answers;
    std::vector<std::vector<double>> values;  // of each metric, a sample each
    int64_t missing = 0;
  };

  nlohmann::json line_of(size_t document) const;

  const GenerationTask* task_;
  GenerationOptions options_;
  Documents documents_;
  std::vector<Item> items_;
  int64_t shots_ = 0;
  std::mutex taking_;
};

}  // namespace lethe::eval
