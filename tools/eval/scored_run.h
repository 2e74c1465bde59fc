// One benchmark that is decided by log-likelihoods, from its documents to its numbers.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/eval/scorer.h"
#include "tools/eval/summary.h"
#include "tools/eval/token_pair.h"

namespace lethe::eval {

struct RunOptions {
  std::vector<std::string> data;  // folders
  std::optional<int64_t> shots;   // absent: the task's own
  int64_t limit = 0;              // documents, the first ones; 0: all
  int64_t max_length = 0;         // tokens that the model is given at most
};

class ScoredRun {
 public:
  virtual ~ScoredRun() = default;
  virtual const std::string& name() const = 0;

  // Takes a result of an earlier run; false if it is none of this benchmark's documents.
  virtual bool restore(const nlohmann::json& line) = 0;
  // What the model must be asked: of all documents without a result. Several threads encode. Throws
  // DataError.
  virtual void encode(const PairEncoder& encoder) = 0;
  // Takes the score of a request. Returns the document's result when it was the last that it needed.
  virtual std::optional<nlohmann::json> take(size_t request, const Score& score) = 0;
  // Of all documents that have a result. Throws DataError if none has.
  virtual Summary summary() const = 0;

  // As if no request had been answered yet: the requests stay.
  virtual void reset() = 0;

  std::span<const ScoreRequest> requests() const { return requests_; }

 protected:
  std::vector<ScoreRequest> requests_;
};

}  // namespace lethe::eval
