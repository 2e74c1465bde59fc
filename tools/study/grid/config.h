// A grid study as its file describes it: texts, bases, and experiments that continue a base in many ways.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "optim/duration.h"

namespace lethe::grid {

// Options of `lethe train` as YAML; several are read one after the other, the later ones win.
using Layers = std::vector<std::string>;

struct Text {
  std::string name;
  std::vector<std::string> paths, extensions;
  std::string key = "text";
  double held_out = 0.02;  // share of the documents that is measured and never trained on
  double for_bases = 0;    // share that bases alone see; what continues a base never sees those
  int64_t max_bytes = 0;   // of text; 0: all
  int64_t rows = 0;        // sequences of an epoch, as far as a dry run knows
  std::string train;       // options of instructions (data.*); empty: texts
};

struct Base {
  std::string name;
  std::string path;    // a model's folder; empty: trained here
  std::string config;  // config.json's content (or path), of one that is trained or only planned
  std::string config_path;
  int64_t vocab_size = 0;
  std::string vocabulary_of;  // base before it whose vocabulary is taken; empty: its own texts'
  Duration duration;
  std::vector<std::pair<std::string, double>> texts;  // shares; the first is the source
  double tokens_per_second = 0;                       // what to expect of one device; 0: not known
  std::string train;
};

struct Method {
  std::string method;  // full, lora, rslora, lora_plus, dora, pissa
  std::vector<int64_t> ranks;
  std::vector<double> alphas;  // empty: 2 * rank
  std::vector<std::string> modules;
  std::vector<double> learning_rates;
  std::vector<double> weight_decays, attention_dropouts, replays, scales;
  std::vector<int64_t> seeds;       // empty: the experiment's
  std::vector<Duration> durations;  // empty: the experiment's
  std::string learning_rate_of;     // label (or EXPERIMENT.label) whose best one is taken
  bool every_rate = false;          // a run for each learning rate; no sweep chooses
  double ratio = 16;                // of LoRA+
  std::string suffix;               // behind the label
  bool spectrum = false;            // of the first seed's models
  std::string train;
};

struct Benchmarks {
  std::vector<std::string> tasks, learning, data;
  std::string protocol = "lm-eval";
  int64_t limit = 0, shots = -1, samples = 1, max_new_tokens = 0;
  double temperature = 0;
};

struct Experiment {
  std::string name, family, base, target, target_kind;
  std::vector<std::string> measured;  // texts beside the target; empty: the base's first
  std::vector<Duration> durations;    // ascending
  bool branches = false;              // shorter durations are cooldown branches of the longest run
  double cooldown = 0.2;              // share of a duration
  std::string short_branches;         // warmup, scaled: what wins where a duration is within the warm-up
  std::optional<Duration> sweep;      // absent: the longest duration
  std::vector<int64_t> seeds;
  int64_t sweep_seed = 0;
  std::vector<Method> methods;
  std::vector<Benchmarks> benchmarks;
  std::string train;
};

struct Study {
  std::string name;
  int64_t eval_tokens = 65536;
  double start_seconds = 5;  // a job's time beside its steps, as far as a dry run knows
  std::string train;
  std::vector<Text> texts;
  std::vector<Base> bases;
  std::vector<Experiment> experiments;

  const Text& text(const std::string& name) const;
  const Base& base(const std::string& name) const;
};

// Whether a configuration's file describes a grid.
bool is_grid(const std::string& file);

// assignments: "grid.texts.python.path=/data/code", the name of a text, base or experiment standing for its
// place. Throws ConfigError, FormatError, RequestError.
Study read_study(const std::string& file, const std::vector<std::string>& assignments);

}  // namespace lethe::grid
