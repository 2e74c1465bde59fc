// Many texts grown by one model at a time: prompts are read in pieces, each sample then gets a token per
// program, and a sample that ends makes room for the next.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "tools/run/model_source.h"
#include "tools/run/sampling.h"

namespace lethe {

struct GeneratorOptions {
  std::string adapter;  // PEFT folder, or empty
  bool merge = false;   // fold the adapter into the weights instead of running it beside them
  std::string precision = "float32";
  std::string device = "cpu";   // auto, cpu, cuda
  int64_t slots = 1;            // samples that grow at a time
  int64_t capacity = 0;         // tokens of prompt and continuation that a slot holds; 0: all positions
  int64_t prompt_tokens = 128;  // of all prompts together, read by one program
  int64_t threads = 0;
};

struct GenerationRequest {
  std::vector<int32_t> prompt;
  int64_t max_new_tokens = 64;
  SamplingOptions sampling;
  uint64_t seed = 0, sample = 0;  // of its draws: a second sample of the same prompt has another number
  std::vector<int32_t> stop_ids;  // end the text and do not belong to it
};

struct Generated {
  enum class End { length, stop_id, caller };
  std::vector<int32_t> ids;
  End end = End::length;
};

class Generator {
 public:
  // Told of each token as it is made; false ends the sample, with this token.
  using OnToken = std::function<bool(size_t request, int32_t id)>;
  // Told when a sample has ended.
  using OnEnd = std::function<void(size_t request, const Generated& sample)>;

  // Opens, checks and loads `folder`. Throws FormatError, MemoryError, ConfigError for a capacity or a number
  // of slots that no text fits in.
  Generator(const std::string& folder, const GeneratorOptions& options);
  // The same of a model that is open, or fresh.
  Generator(ModelSource source, const GeneratorOptions& options);

  const LlamaConfig& config() const { return source_.config; }
  const Session& session() const { return *session_; }
  int64_t capacity() const { return cache_.capacity; }

  // Throws RequestError if a prompt is empty, holds an id outside the vocabulary, or leaves no room in a slot
  // for max_new_tokens.
  void check(const GenerationRequest& request) const;

  // What each request gave, in their order. A sample depends on its own request alone: not on what is
  // generated beside it, up to rounding where a GPU's products differ with their size. Throws as check().
  std::vector<Generated> run(const std::vector<GenerationRequest>& requests, const OnToken& on_token = {},
                             const OnEnd& on_end = {});

 private:
  struct Slot {
    int64_t request = -1;  // -1: free
    int64_t kept = 0;      // tokens of the slot whose keys and values are there
  };
  struct Batch {
    std::vector<int32_t> ids, positions, rows, output_rows;
    std::vector<size_t> slots;  // whose logits are asked for, in order
  };

  bool add_prompts(Batch& batch, const std::vector<GenerationRequest>& requests);
  void add_last_tokens(Batch& batch, const std::vector<GenerationRequest>& requests,
                       const std::vector<Generated>& made);
  void add(Batch& batch, size_t slot, int32_t id);
  void run_program(size_t program, Batch& batch);
  // The next token of each of batch.slots.
  std::vector<int32_t> choose(size_t program, const Batch& batch,
                              const std::vector<GenerationRequest>& requests,
                              const std::vector<Generated>& made);
  std::vector<std::byte> download(size_t program, Var var) const;
  std::vector<float> logits_row(size_t program, size_t row);

  ModelSource source_;
  CacheSize cache_;
  std::vector<Slot> slots_;
  int64_t prompt_tokens_ = 0;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<Session> session_;
  std::vector<Var> logits_, most_probable_;  // of each program
  std::vector<std::byte> host_logits_;
};

}  // namespace lethe
