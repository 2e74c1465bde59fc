// Between a model's files and the tensors of a planned session.
#pragma once

#include "engine/session.h"
#include "model/weights/model_files.h"
#include "model/weights/peft.h"

namespace lethe {

// Fills every weight of the base model from files that check_model_files accepted; one row range at a time,
// no second copy of a tensor. Throws FormatError.
void load_weights(Session& session, const ModelFiles& files, const LlamaConfig& config);

// Fills every adapter tensor. Throws FormatError.
void load_adapter(Session& session, const AdapterFiles& adapter, const LlamaConfig& config);

}  // namespace lethe
