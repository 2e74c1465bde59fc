// An adapter made part of the weights in memory.
#pragma once

#include "engine/session.h"
#include "model/linear.h"

namespace lethe {

// Merges, and makes what still runs beside the weights nothing.
void fold_adapter(Session& session, const LlamaConfig& config, const LoraConfig& lora);

}  // namespace lethe
