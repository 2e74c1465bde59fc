// Adapters folded into the weights they sit beside.
#pragma once

#include "engine/session.h"
#include "model/weights/peft.h"

namespace lethe {

// W <- W + scale * B A for every targeted map, computed in double and rounded once to W's dtype; A and B keep
// their values, so a program that still adds them counts them twice: save, or load into a model without
// adapters. Host memory: one map at a time.
void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora);

// scale * B A of one map ("model.layers.0.self_attn.q_proj"), row-major [out, in].
std::vector<double> adapter_delta(const Session& session, const std::string& module, const LoraConfig& lora);

}  // namespace lethe
