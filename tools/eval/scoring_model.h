// A model in memory that scores requests.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/eval/scorer.h"
#include "tools/run/model_source.h"

namespace lethe::eval {

struct ScoringModelOptions {
  std::string adapter;  // PEFT folder, or empty
  bool merge = false;   // fold the adapter into the weights instead of running it beside them
  std::string precision = "float32";
  std::string device = "cpu";  // as BackendOptions has it
  int64_t threads = 0;
  PassLimits size;
};

class ScoringModel {
 public:
  // Opens, checks and loads `folder`. Throws FormatError, MemoryError.
  ScoringModel(const std::string& folder, const ScoringModelOptions& options);

  const LlamaConfig& config() const { return source_.config; }
  Scorer& scorer() { return *scorer_; }

 private:
  ModelSource source_;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<Session> session_;
  std::optional<Scorer> scorer_;
};

}  // namespace lethe::eval
