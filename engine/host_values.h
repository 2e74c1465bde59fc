// A session's floating tensors as doubles on the host, whatever their dtype: for small work such as merging,
// spectra and tests.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"

namespace lethe {

// All elements in row-major order, padding between rows left out. Throws ShapeError for an unknown name.
std::vector<double> host_values(const Session& session, const std::string& name);

// The reverse; each value is rounded once, to nearest. Throws ShapeError if the count does not fit.
void set_host_values(Session& session, const std::string& name, const std::vector<double>& values);

}  // namespace lethe
