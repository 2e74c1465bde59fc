// A session's tensor as something a safetensors file can be written from, in the dtype it is held in.
#pragma once

#include <string>

#include "engine/files/safetensors_writer.h"
#include "engine/session.h"

namespace lethe {

// Reads the device's memory row by row while the file is written; the session must outlive that.
TensorToWrite session_tensor(const Session& session, int32_t index, const std::string& name_in_file);

}  // namespace lethe
