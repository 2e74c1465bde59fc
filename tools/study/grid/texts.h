// The texts of a grid, split once and tokenized once for each tokenizer.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tools/run/run_data.h"
#include "tools/study/grid/config.h"

namespace lethe::grid {

enum class Part : uint8_t { train, for_bases, held_out };

class Texts {
 public:
  // folder: where splits and shards are kept.
  Texts(const Study& study, std::string folder) : study_(study), folder_(std::move(folder)) {}

  // The path of a vocabulary learned from what a base reads.
  std::string tokenizer_of(const Base& base);
  // JSONL with the key "text". Throws DataError where a part that is asked for is empty.
  std::string file(const Text& text, Part part);
  // Ready to be dealt. options: of the run (data.tokenizer, sequence length and so on).
  TrainingSource source(const std::string& text, Part part, const TrainOptions& options);
  std::shared_ptr<const Tokenizer> tokenizer(const std::string& path);

 private:
  void split(const Text& text);

  const Study& study_;
  std::string folder_;
  std::map<std::string, std::shared_ptr<const Tokenizer>> tokenizers_;
  std::map<std::string, TrainingSource> sources_;
};

}  // namespace lethe::grid
