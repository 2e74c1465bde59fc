# CUDA for a CMake that does not know this nvcc's C++20 yet.

# A cubin for each architecture that is named, and PTX for those named "-virtual": what comes after the newest
# is compiled from it when it is first used. "90a" is Hopper with the features that no other generation has. The
# preset cuda-all names them all.
set(LETHE_CUDA_ARCHITECTURES "90a-real" CACHE STRING "GPU architectures the kernels are compiled for")
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES ${LETHE_CUDA_ARCHITECTURES}) # the one that enable_language tries
endif()
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
set(CMAKE_CUDA_STANDARD 20)
find_package(CUDAToolkit REQUIRED)
