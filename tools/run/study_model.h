// The small model that a study trains, from its options.
#pragma once

#include "model/config.h"
#include "tools/options/study_options.h"

namespace lethe {

// Heads share hidden_size evenly, positions are as many as the sequence is long, the head is tied to the
// embedding. Without special tokens: those are the tokenizer's.
LlamaConfig study_model(const StudyOptions& options, int64_t vocab_size);

}  // namespace lethe
