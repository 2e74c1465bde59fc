// Between a model's files and the tensors of a planned session.
#pragma once

#include "engine/session.h"
#include "model/weights/model_files.h"
#include "model/weights/peft.h"

namespace lethe {

// Fills every weight of the base model from files that check_model_files accepted: some pieces of rows at a
// time by several threads, no second copy of a tensor (Backend::upload_sources). Says how fast it was. Throws
// FormatError, IoError.
void load_weights(Session& session, const ModelFiles& files, const LlamaConfig& config);

// Fills every adapter tensor. Throws FormatError.
void load_adapter(Session& session, const AdapterFiles& adapter, const LlamaConfig& config);

}  // namespace lethe
