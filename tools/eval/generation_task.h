// A benchmark whose answers the model writes: what it is asked, where its text ends, what makes it right.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/eval/documents.h"
#include "tools/sandbox/python_program.h"

namespace lethe::eval {

// What a text came to: one value for each of the task's metrics, and what a person wants to see of it.
struct Verdict {
  std::vector<double> values;
  std::string answer;
};

struct GenerationTask {
  std::string name, purpose;
  std::vector<std::string> files;       // of the documents: whichever is there
  std::vector<std::string> shot_files;  // of the examples; empty: there are none
  int64_t shots = 0;                    // of the protocol
  bool first_shots = false;             // the first of the file instead of a draw
  std::string before;                   // the shots
  std::string (*question)(const JsonPlace& document) = nullptr;
  std::string (*shot)(const JsonPlace& document) = nullptr;  // solved, with what separates it from the next
  // In the order that a text is cut at them: strings, and beside them the tokenizer's end of sequence.
  std::vector<std::string> stops;
  int64_t max_new_tokens = 256;
  std::vector<std::string> metrics;  // of one text; each 0 or 1
  bool runs_programs = false;        // judging means running what was written
  Verdict (*judge)(const JsonPlace& document, const std::string& text, const PythonOptions& python) = nullptr;
};

// Part of the text before the first occurrence of each stop, one after another in their order.
std::string cut_at(std::string text, const std::vector<std::string>& stops);

// 1 - C(n - c, k) / C(n, k): the chance that one of k samples out of n, of which c pass, passes (Chen et al.,
// "Evaluating Large Language Models Trained on Code", 2021). k at most n.
double pass_at(int64_t n, int64_t c, int64_t k);

}  // namespace lethe::eval
