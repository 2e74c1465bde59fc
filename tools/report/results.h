// results.jsonl: what a study measured, one JSON object a line; `kind` says which of the structures below.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lethe::report {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

struct ModelInfo {
  int64_t hidden_size = 0, num_hidden_layers = 0, num_attention_heads = 0, num_key_value_heads = 0;
  int64_t intermediate_size = 0, vocab_size = 0, parameters = 0;
};

struct Corpus {
  std::string name, description, licence;
  int64_t documents = 0, bytes = 0, tokens = 0;
  double unigram_entropy = unknown;  // nats per token
};

struct Study {
  std::string name, created, device, command, version;
  int64_t threads = 0;
  double seconds = unknown;
  ModelInfo model;
  int64_t sequence_length = 0, batch_tokens = 0;
  Corpus source, target;
  double code_fraction =
      unknown;  // of the target's kind of text in the base's data; unknown without source_mix
};

enum class Method { base, full, lora };

struct Run {
  std::string name, label;
  Method method = Method::full;
  int64_t rank = 0;  // 0: none
  double alpha = unknown, learning_rate = unknown;
  int64_t trainable_parameters = 0, steps = 0;
  double seconds = unknown, tokens_per_second = unknown;
};

// Held-out scores of one run at one step on one domain. loss and standard_error in nats per token; a loss
// that was not finite is NaN.
struct Point {
  std::string run;
  int64_t step = 0;
  double tokens = 0;
  bool on_target = false;
  double loss = unknown, accuracy = unknown, standard_error = unknown;
};

struct SweepTrial {
  Method method = Method::full;
  int64_t rank = 0;
  std::string label;
  double learning_rate = unknown, target_loss = unknown, source_loss = unknown;
  bool diverged = false, chosen = false;
};

struct Spectrum {
  std::string run, tensor, module;
  int64_t layer = -1;  // -1: outside the blocks
  int64_t rows = 0, columns = 0, rank90 = 0;
  std::vector<double> singular_values;  // of tuned - base, descending
  double stable_rank = unknown, frobenius = unknown, relative_change = unknown;
};

struct Results {
  Study study;
  std::vector<Run> runs;  // in the file's order
  std::vector<Point> points;
  std::vector<SweepTrial> sweep;
  std::vector<Spectrum> spectra;

  // The run of that name, or nullptr.
  const Run* find_run(const std::string& name) const;
  // The points of a run on one domain, by step.
  std::vector<Point> points_of(const std::string& run, bool on_target) const;
};

// Reads and checks the whole file. JSON null stands for a number that was not finite, and for no rank, alpha
// or layer. Throws IoError for a file that cannot be read and FormatError naming line and key for anything
// else: text that is not JSON, an unknown kind, a missing key or one of another type, no study line or two, a
// run told twice, a point or spectrum of a run that has no line.
Results read_results(const std::string& path);

}  // namespace lethe::report
