// The shapes that `lethe bench` knows by name, and the arithmetic that a token of one needs.
#pragma once

#include <optional>
#include <string>

#include "model/config.h"

namespace lethe {

struct BenchShape {
  LlamaConfig config;
  int64_t batch = 1, seq = 256;  // of a step where the request names none
};

// mini (the default study's model), 135m (SmolLM's), 1b (Llama 3.2's), 7b (Llama 2's), 8b (Llama 3.1's
// without RoPE scaling), or the path of a config.json. Batch and sequence are those of the device. Throws
// ConfigError for another name, and FormatError for a config.json that is none.
BenchShape bench_shape(const std::string& name, bool on_gpu);

// Dense FLOPs that a token of a training step needs, a multiply-add counted as two: 6 a weight of the linear
// maps and the head, 4 where the weight is frozen (no gradient of it), 6 a weight of the adapters; causal
// attention's products counted once for the pairs that the mask lets through: 6 * layers * heads * head_dim *
// seq. rank 0: full fine-tuning. Recomputation is not counted.
double flops_per_token(const LlamaConfig& config, int64_t rank, int64_t seq);

}  // namespace lethe
