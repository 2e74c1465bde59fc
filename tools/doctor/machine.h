// What this machine has, as plain facts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lethe {

struct Cpu {
  std::string model;
  int cores = 0;                   // this process may run on
  std::vector<std::string> flags;  // of those that matter to kernels: avx2, avx512f, amx_bf16, ...
  std::string compiled_for;        // -march of this build's CPU kernels
};
Cpu find_cpu();

struct Memory {
  int64_t total = 0, available = 0;  // bytes; a container's limit counts
  int64_t disk_free = 0;             // bytes, in the current folder
};
Memory find_memory();

struct Blas {
  std::string config;  // as OpenBLAS prints it
  std::string core;    // the kernels it chose: "SkylakeX"
  int threads = 0;
  double sgemm_gflops = 0;  // measured, 1024 x 1024 x 1024, all threads
};
// Takes about 0.3 s.
Blas measure_blas();

struct Gpu {
  std::string name;
  int64_t memory = 0;        // bytes
  int major = 0, minor = 0;  // compute capability
  std::string trouble;       // why this build cannot use it
};
struct Cuda {
  bool compiled_in = false;
  std::string driver;   // the newest CUDA version that it supports, "12.4"; empty: no driver
  std::string trouble;  // why a driver that is there cannot be used
  std::string runtime;  // version of the runtime library; empty: not found
  std::vector<Gpu> devices;
  std::string architectures;  // that this build has code for
};
Cuda find_cuda();

// A library or program and its version; an empty version: not found.
struct Component {
  std::string name, version;
};
std::vector<Component> built_with();
Component find_nccl();
Component find_mpi();
// The full path of a program on PATH as its version, or empty.
Component find_program(const std::string& name);

struct Machine {
  std::string lethe_version;
  Cpu cpu;
  Memory memory;
  Blas blas;
  Cuda cuda;
  std::vector<Component> libraries;
  Component nccl, mpi, rsvg_convert;
  std::string sandbox_refusal;  // why generated programs cannot be run in a sandbox here; empty: they can
};
Machine examine_machine(const std::string& lethe_version);

// For people: what is there and what lethe can use of it. For programs: the same as JSON.
std::string report_text(const Machine& machine);
std::string report_json(const Machine& machine);

}  // namespace lethe
