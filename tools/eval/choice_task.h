// A benchmark whose answers are given: which of them does the model find most probable?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/eval/documents.h"

namespace lethe::eval {

// A document as its benchmark asks it, without examples before it.
struct ChoiceExample {
  std::string header;                 // before the shots too
  std::vector<std::string> contexts;  // one for all choices, or one each
  // One each, or one after all contexts; by lm-evaluation-harness with the space before.
  std::vector<std::string> continuations;
  std::vector<std::string> choices;  // whose lengths acc_norm divides by
  int64_t gold = 0;

  size_t size() const { return choices.size(); }
  const std::string& context(size_t choice) const { return contexts[contexts.size() == 1 ? 0 : choice]; }
  const std::string& continuation(size_t choice) const {
    return continuations[continuations.size() == 1 ? 0 : choice];
  }
  // The document solved, as it stands before another in lm-evaluation-harness: with what separates them.
  std::string shot() const;
};

// What a benchmark adds to the gauntlet's rules (gauntlet.h).
struct GauntletRules {
  std::string delimiter = " ";  // between question and answer; the question to be answered has it stripped
  int64_t shots = 0;
  double baseline = 0;  // accuracy of chance

  // The document solved, and as it is asked for one of its choices.
  std::string solved(const ChoiceExample& example) const;
  std::string asked(const ChoiceExample& example, size_t choice) const;
};

struct ChoiceTask {
  std::string name, purpose;
  std::vector<std::string> files;       // of the documents: whichever is there
  std::vector<std::string> shot_files;  // of the examples; none: the documents themselves
  // The harness draws the examples from the split it evaluates, as far as it knows: one more is drawn, and
  // the document itself left out.
  bool draws_spare = false;
  bool first_shots = false;  // no draw: the first of the file, of the document's own group
  std::string group_key;     // documents of one value are a benchmark of their own; empty: none is
  bool acc_norm = true;
  std::optional<GauntletRules> gauntlet;  // absent: lm-evaluation-harness's rules
  ChoiceExample (*example)(const JsonPlace& document) = nullptr;
};

}  // namespace lethe::eval
