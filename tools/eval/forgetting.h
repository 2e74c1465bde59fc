// What a tuned model lost and gained beside its base, document by document.
#pragma once

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/eval/evaluation.h"

namespace lethe::eval {

// What chance does to a difference: from resampling documents, each with both models' results. NaN for fewer
// than two.
struct PairedError {
  double standard_error = std::numeric_limits<double>::quiet_NaN();
  std::array<double, 2> interval{standard_error, standard_error};  // holds 95% of the resampled differences
};

struct Change {
  std::string task, metric;
  int64_t documents = 0;
  double base = 0, tuned = 0;
  double forgotten = 0;  // what became worse: base - tuned, of a loss tuned - base
  PairedError error;
  // Of decisions, the documents that were right before and are wrong now, and the other way round.
  bool decides = false;
  std::vector<int64_t> lost, gained;
};

struct Forgetting {
  std::vector<Change> changes;    // a task's metrics in their order
  std::optional<Change> average;  // of HellaSwag, ARC-Challenge and WinoGrande, where all three are there
};

// From two models' results on the same documents. Each of `iterations` resamplings draws as many documents as
// there are, with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13), the
// same ones for both models and each task its own. Throws ConfigError naming a setting other than the model's
// in which the two differ, DataError for a document that one of them lacks or was asked otherwise.
Forgetting forgetting_of(const EvaluationResults& base, const EvaluationResults& tuned,
                         int64_t iterations = 10000);

// McNemar's z = (lost - gained) / sqrt(lost + gained) for two numbers of documents; 0 for none.
double mcnemar_z(int64_t lost, int64_t gained);

// One line a metric.
std::string table_of(const Forgetting& forgetting);
nlohmann::json json_of(const Forgetting& forgetting);

}  // namespace lethe::eval
