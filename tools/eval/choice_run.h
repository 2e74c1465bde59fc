// One benchmark of given answers from its documents to its numbers.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/eval/choice_task.h"
#include "tools/eval/scorer.h"
#include "tools/eval/summary.h"
#include "tools/eval/token_pair.h"

namespace lethe::eval {

struct ChoiceRunOptions {
  std::vector<std::string> data;  // folders
  int64_t shots = 0;
  int64_t limit = 0;       // documents, the first ones; 0: all
  int64_t max_length = 0;  // tokens
};

class ChoiceRun {
 public:
  // Reads the documents and draws the examples. Throws DataError, FormatError.
  ChoiceRun(const ChoiceTask& task, const ChoiceRunOptions& options);

  const std::string& name() const { return task_->name; }
  size_t documents() const { return items_.size(); }

  // Takes a result of an earlier run; false if it is none of this benchmark's documents.
  bool restore(const nlohmann::json& line);

  // What the model must be asked: of all documents without a result. Several threads encode. Throws
  // DataError.
  void encode(const PairEncoder& encoder);
  std::span<const ScoreRequest> requests() const { return requests_; }

  // The score of a request. Returns the document's result when it was the last that it needed.
  std::optional<nlohmann::json> take(size_t request, const Score& score);

  // Of all documents that have a result. Throws DataError if none has.
  Summary summary() const;

 private:
  struct Item {
    ChoiceExample example;
    std::string before;          // header and shots
    std::vector<int64_t> shots;  // places in the pool
    std::string group;
    std::vector<Score> scores;    // of the choices
    size_t missing = 0;           // of the scores
    std::vector<int64_t> tokens;  // of the continuations
    bool right = false, right_per_letter = false;
  };
  struct Origin {
    size_t item, choice;
  };

  void decide(Item& item) const;
  nlohmann::json line_of(size_t index) const;
  Summary summary_of(const std::string& name, const std::vector<const Item*>& items) const;

  const ChoiceTask* task_;
  ChoiceRunOptions options_;
  std::vector<Item> items_;
  std::vector<ScoreRequest> requests_;
  std::vector<Origin> origins_;  // of the requests
};

}  // namespace lethe::eval
