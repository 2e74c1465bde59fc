// A benchmark of given answers.
#pragma once

#include "tools/eval/choice_task.h"
#include "tools/eval/scored_run.h"

namespace lethe::eval {

class ChoiceRun final : public ScoredRun {
 public:
  // Reads the documents and draws the examples. Throws DataError, FormatError.
  ChoiceRun(const ChoiceTask& task, const RunOptions& options);

  const std::string& name() const override { return task_->name; }
  bool restore(const nlohmann::json& line) override;
  void encode(const PairEncoder& encoder) override;
  void reset() override;
  std::optional<nlohmann::json> take(size_t request, const Score& score) override;
  Summary summary() const override;

 private:
  struct Item {
    ChoiceExample example;
    std::string before;          // header and shots, without what separates them from the document
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

  // What stands before the answer.
  std::string prompt(const Item& item, size_t choice) const;
  TokenPair tokens_of(const Item& item, size_t choice, const PairEncoder& encoder) const;
  void decide(Item& item) const;
  nlohmann::json line_of(size_t index) const;
  Summary summary_of(const std::string& name, const std::vector<const Item*>& items) const;

  const ChoiceTask* task_;
  RunOptions options_;
  int64_t shots_;
  std::string file_;
  std::vector<Item> items_;
  std::vector<Origin> origins_;  // of the requests
};

}  // namespace lethe::eval
