// The measurement of `lethe bench --decode`: texts that grow, beside what reading the memory would take.
#pragma once

#include "tools/bench/bench.h"

namespace lethe {

struct DecodeBenchResult {
  BenchRequest request;  // with what was absent filled in
  std::string device_name;
  int64_t new_tokens = 0;   // of each text
  double prompts_s = 0;     // reading all prompts
  Spread step_ms;           // a token of every text; the first third of the steps does not count
  double weight_bytes = 0;  // that a step must read: each weight once, of an embedding that is no head none
  double kept_bytes = 0;    // and of keys and values, at the middle of the timed steps
  double bytes_per_s = 0;   // that a copy reaches, read and written together

  double tokens_per_s() const;
  // What the bytes would take at the copy's rate, of what a step takes.
  double share_of_bandwidth() const;
};

// request.batch texts after random prompts of request.seq tokens, each `new_tokens` long, the most probable
// token each time. Throws what Generator throws, ConfigError for prompts that leave no room.
DecodeBenchResult run_decode_bench(BenchRequest request, int64_t new_tokens);

// The line that is printed.
nlohmann::json decode_bench_json(const DecodeBenchResult& result);

}  // namespace lethe
