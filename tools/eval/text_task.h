// A text whose every token is predicted.
#pragma once

#include <string>
#include <vector>

namespace lethe::eval {

struct ScoredText {
  std::string scored;           // what the model is given
  double words = 0, bytes = 0;  // what the sums are divided by: of the text before it was made readable
};

struct TextTask {
  std::string name, purpose;
  std::vector<std::string> files;  // of documents with a text under `key`
  std::string key;
  std::string (*readable)(const std::string& page) = nullptr;  // null: scored as it is
};

// Pieces between white space; an empty one at either end counts.
double count_words(const std::string& text);

ScoredText scored_text(const TextTask& task, const std::string& page);

}  // namespace lethe::eval
