// Which GPUs a build has code for, and which drivers it runs on; plain arithmetic, the same for the backend
// that needs it and for the doctor that tells it.
#pragma once

#include <string>

namespace lethe {

// The compute capabilities that the kernels were compiled for, as CMake's CUDA_ARCHITECTURES has them, with
// spaces between: "80-real 90a-real 120"; empty in a build without CUDA.
std::string compiled_architectures();

// The CUDA runtime of this build, as 13000 means 13.0; 0 in a build without CUDA.
int compiled_runtime();

// Whether code for `architectures` runs on compute capability major.minor (CUDA C++ Programming Guide,
// "Binary compatibility" and "PTX compatibility"): a cubin on its own major version from its minor on, or,
// with an "a" behind it, on nothing but its own capability; PTX ("-virtual", or no suffix) on anything not
// older.
bool has_code_for(const std::string& architectures, int major, int minor);

// Why a driver of this CUDA version cannot run a program built for this runtime, as 13000 means 13.0; empty
// if it can: a driver must be of the runtime's major version or a newer one (CUDA Compatibility, "Minor
// version compatibility").
std::string driver_trouble(int driver, int runtime);

// Why a GPU cannot run this build's kernels; empty if it can.
std::string gpu_trouble(const std::string& name, int major, int minor);

}  // namespace lethe
