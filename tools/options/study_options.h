// What `lethe study` is asked to compare, typed and checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/options/settings.h"

namespace lethe {

struct StudyOptions {
  std::string name;
  std::vector<std::string> source, target;  // files or folders; empty: the texts of this machine
  std::string source_name, target_name;
  double source_mix_fraction = 0;  // share of target-like text in the base's data
  int64_t vocab_size = 0, hidden_size = 0, layers = 0, heads = 0, kv_heads = 0, intermediate_size = 0;
  int64_t sequence_length = 0, batch_size = 0;
  int64_t base_steps = 0;
  double base_learning_rate = 0;
  int64_t continue_steps = 0;
  std::vector<int64_t> ranks;
  std::vector<double> learning_rates_full, learning_rates_lora;
  int64_t sweep_steps = 0, eval_points = 0, eval_tokens = 0;
  std::vector<std::string> target_modules;  // resolved: some of the seven
  int64_t seed = 0, threads = 0;
  std::string cache_dir;

  struct Run {
    std::string label;   // "full", "lora-r16"
    std::string method;  // full, lora
    int64_t rank = 0;    // 0 for full
  };
  // Full fine-tuning first, then LoRA at each rank.
  std::vector<Run> runs() const;
};

const OptionTable& study_table();

// Checks what no single option can say (heads that divide the width, distinct ranks, ...). Throws
// ConfigError. Reads no file.
StudyOptions study_options(const Settings& settings);

}  // namespace lethe
