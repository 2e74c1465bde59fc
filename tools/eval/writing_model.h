// A model that writes the texts of generation benchmarks, and those who judge them beside it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/eval/generation_run.h"
#include "tools/eval/token_pair.h"

namespace lethe::eval {

struct WritingOptions {
  std::string adapter;  // PEFT folder, or empty
  bool merge = false;
  std::string precision = "float32";
  std::string device = "cpu";
  int64_t threads = 0;
  int64_t batch = 0;       // texts that grow at a time; 0: 64 on a GPU, 8 on a CPU
  int64_t max_length = 0;  // tokens of prompt and text together; 0: all positions
  // The new tokens are decoded behind the prompt's, not alone as lm-evaluation-harness does: a tokenizer that
  // drops a first space (Llama-2's) then keeps it, which the first line of a program needs.
  bool decode_with_prompt = false;
};

// Writes and judges all that `run` asks for. on_line: each document's result as it comes; on_text: after each
// text. Prompts lose their beginning where they leave no room for max_new_tokens. Throws ConfigError if a
// task's texts alone do not fit, what Generator throws, and what judging throws.
void write_texts(const std::string& model, const Tokenizer& tokenizer, const PairEncoder& encoder,
                 GenerationRun& run, const WritingOptions& options,
                 const std::function<void(const nlohmann::json&)>& on_line,
                 const std::function<void()>& on_text);

}  // namespace lethe::eval
