// Adapters folded into the weights they sit beside.
#pragma once

#include <vector>

#include "engine/session.h"
#include "model/weights/peft.h"

namespace lethe {

// W <- W + scale * B A for every targeted map, computed in double and rounded once to W's dtype; A and B keep
// their values, so a program that still adds them counts them twice: save, or load into a model without
// adapters. Host memory: one map at a time.
void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora);

// scale * B A: b [out, rank], a [rank, in], all row-major; summed over the rank in order.
std::vector<double> scaled_product(const std::vector<double>& b, const std::vector<double>& a, int64_t out,
                                   int64_t rank, int64_t in, double scale);

}  // namespace lethe
