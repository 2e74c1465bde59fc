// Versions of the libraries that compute beside our own kernels: with others, the bits may be others.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lethe {

// By name, in one order; "absent" where a library is not to be had.
using LibraryVersions = std::vector<std::pair<std::string, std::string>>;

LibraryVersions cpu_libraries();
// Of a GPU's backend: CUDA's runtime, cuBLAS, cuDNN. Empty in a build without CUDA.
LibraryVersions cuda_libraries();

}  // namespace lethe
