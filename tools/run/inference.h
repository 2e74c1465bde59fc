// A model in memory for reading from it: logits of given tokens, with or without an adapter.
#pragma once

#include <memory>
#include <string>

#include "tools/run/evaluate.h"
#include "tools/run/model_source.h"

namespace lethe {

struct InferenceOptions {
  std::string adapter;  // PEFT folder, or empty
  std::string precision = "float32";
  std::string device = "cpu";  // auto, cpu, cuda
  int64_t rows = 1, tokens = 1;
  int64_t threads = 0;
  bool gradients = false;  // also a program that leaves the gradient of every trained weight
};

class InferenceModel {
 public:
  // Opens, checks and loads `folder`. Throws FormatError, MemoryError.
  InferenceModel(const std::string& folder, const InferenceOptions& options);
  // The same of a model that is open, or fresh.
  InferenceModel(ModelSource source, const InferenceOptions& options);

  const LlamaConfig& config() const { return source_.config; }
  Session& session() { return *session_; }
  const Programs& programs() const { return programs_; }
  const ProgramSpec& spec() const { return spec_; }

  // Runs the forward pass over the batch set in the session; returns logits [rows * tokens, vocab_size]. The
  // buffer lies in host memory, where a GPU's values are copied, and holds until the next call.
  Buffer logits();
  // Per-token losses of the same run, [rows * tokens].
  Buffer losses();

 private:
  Buffer on_host(Var var, std::vector<std::byte>& copy) const;

  ModelSource source_;
  ProgramSpec spec_;
  Programs programs_;
  std::unique_ptr<Session> session_;
  std::vector<std::byte> logits_copy_, losses_copy_;
};

// A batch of one document per row: ids padded to `tokens` columns, labels as given or ignored.
struct PlainBatch {
  std::vector<int32_t> ids, labels, positions, document_start;
  int64_t targets = 0;

  PlainBatch(int64_t rows, int64_t tokens);
  // Throws DataError if the row is longer than tokens. labels may be empty: none are targets.
  void set_row(int64_t row, int64_t tokens, std::span<const int32_t> row_ids,
               std::span<const int32_t> row_labels);
  MicroBatch view() const { return {ids, labels, positions, document_start, 0, targets}; }
};

}  // namespace lethe
