// A model small enough for central differences, with a batch that has documents, ignored labels and rows of
// unequal targets.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"
#include "tools/run/programs.h"

namespace lethe::test {

LlamaConfig tiny_config(bool tied);
// Makes a model of two layers one of another family, with what that has beside Llama: qwen2's biases, qwen3's
// norms of heads, biases and one layer with a window, smollm3's biases of the feed-forward layer and one
// layer without positions.
void use_family(LlamaConfig& config, const std::string& model_type);
LoraConfig tiny_lora(int64_t rank, double dropout);

// rows x tokens with ids below the vocabulary; documents start at columns 0 and 3; some labels are -100, more
// of them in later rows.
struct TinyBatch {
  std::vector<int32_t> ids, labels, positions, document_start;
  int64_t tokens = 0;

  TinyBatch(int64_t rows, int64_t tokens, int64_t vocab_size);
  // Rows [first, first + count) as a micro-batch.
  MicroBatch part(int64_t first, int64_t count) const;
};

struct TinyRun {
  Programs programs;  // its State and tapes have moved into the session
  std::unique_ptr<Session> session;

  TinyRun(const ProgramSpec& spec, int threads, bool keep_logits = false);
  TinyRun(const ProgramSpec& spec, std::unique_ptr<Backend> backend, bool keep_logits = false);
};

// Adapters whose B is not zero, so that every gradient path carries something.
void randomise_lora_b(Session& session, uint64_t seed);

ProgramSpec tiny_spec(DType dtype, bool tied = false);

}  // namespace lethe::test
