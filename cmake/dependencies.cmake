# Libraries from the distribution; each is named with its Debian package in docs/building.md.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(icu REQUIRED IMPORTED_TARGET icu-uc)
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)

# OpenBLAS with its own LAPACK. Debian keeps the threaded build in a folder of its own.
find_path(OPENBLAS_INCLUDE openblas_config.h PATH_SUFFIXES openblas-pthread openblas REQUIRED)
find_library(OPENBLAS_LIBRARY NAMES openblas PATH_SUFFIXES openblas-pthread REQUIRED)
add_library(lethe_openblas INTERFACE)
target_include_directories(lethe_openblas SYSTEM INTERFACE ${OPENBLAS_INCLUDE})
target_link_libraries(lethe_openblas INTERFACE ${OPENBLAS_LIBRARY})

# Optional: Apache Arrow reads Parquet files. Debian 12 does not pack it; its project does, for Debian too.
find_package(Arrow CONFIG QUIET)
find_package(Parquet CONFIG QUIET)

# Optional: MPI joins the processes of one run.
set(MPI_CXX_SKIP_MPICXX TRUE)
find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(STATUS "Training in one process alone: MPI (libopenmpi-dev) is not to be found")
endif()
