// The perplexity of a text's documents.
#pragma once

#include "tools/eval/scored_run.h"
#include "tools/eval/text_task.h"

namespace lethe::eval {

class TextRun final : public ScoredRun {
 public:
  // A benchmark's documents. Throws DataError, FormatError.
  TextRun(const TextTask& task, const RunOptions& options);
  // Any text: a file, a folder or JSONL, as data/corpus.h reads them. What the tokenizer puts before a text
  // is given and not predicted.
  TextRun(const std::string& path, const std::string& json_key, const RunOptions& options);

  const std::string& name() const override { return name_; }
  bool restore(const nlohmann::json& line) override;
  void encode(const PairEncoder& encoder) override;
  void reset() override;
  std::optional<nlohmann::json> take(size_t request, const Score& score) override;
  Summary summary() const override;

 private:
  struct Item {
    ScoredText text;
    double log_likelihood = 0;
    double of_bos = 0;  // its part that is the beginning-of-sequence token's own
    int64_t tokens = 0;
    size_t missing = 0;
    bool done = false;
  };
  struct Origin {
    size_t item;
    bool is_bos;
  };

  void add_windows(size_t index, const std::vector<int32_t>& tokens, int32_t prefix);
  nlohmann::json line_of(size_t index) const;

  std::string name_;
  bool predicts_bos_;
  RunOptions options_;
  std::vector<Item> items_;
  std::vector<Origin> origins_;  // of the requests
};

}  // namespace lethe::eval
