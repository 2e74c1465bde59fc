// Processor, memory and matrix product of this machine (Linux).
#include <cblas.h>
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tools/doctor/machine.h"

namespace lethe {
namespace {

// Instruction sets that OpenBLAS or the kernels gain from, x86-64 then AArch64.
constexpr const char* telling_flags[] = {"avx",      "avx2",        "fma",      "f16c",     "avx512f",
                                         "avx512bw", "avx512_bf16", "avx_vnni", "amx_bf16", "asimdhp",
                                         "bf16",     "i8mm",        "sve",      "sve2"};

// The text behind "key  :" of the first line of /proc/cpuinfo that has it.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos && colon + 2 <= line.size()) {
      return line.substr(colon + 2);
    }
  }
  return "";
}

// Bytes behind "key:" in /proc/meminfo, which counts in KiB.
int64_t meminfo(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) {
      std::istringstream number(line.substr(key.size() + 1));
      int64_t kib = 0;
      number >> kib;
      return kib * 1024;
    }
  }
  return 0;
}

// The number in a control group's file, or -1 for none ("max").
int64_t control_group(const char* path) {
  std::ifstream file(path);
  int64_t value = -1;
  return file >> value ? value : -1;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return CPU_COUNT(&set);
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

Cpu find_cpu() {
  Cpu cpu;
  cpu.model = cpuinfo("model name");
  cpu.cores = usable_cores();
  cpu.compiled_for = LETHE_MARCH;
  const std::string x86_flags = cpuinfo("flags");
  std::istringstream words(x86_flags.empty() ? cpuinfo("Features") : x86_flags);
  std::vector<std::string> present;
  for (std::string word; words >> word;) {
    present.push_back(word);
  }
  for (const char* flag : telling_flags) {
    if (std::find(present.begin(), present.end(), flag) != present.end()) {
      cpu.flags.emplace_back(flag);
    }
  }
  return cpu;
}

Memory find_memory() {
  Memory memory;
  memory.total = meminfo("MemTotal");
  memory.available = meminfo("MemAvailable");
  const int64_t limit = control_group("/sys/fs/cgroup/memory.max");
  if (limit > 0 && limit < memory.total) {
    const int64_t used = std::max<int64_t>(0, control_group("/sys/fs/cgroup/memory.current"));
    memory.total = limit;
    memory.available = std::min(memory.available, std::max<int64_t>(0, limit - used));
  }
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(".", error);
  memory.disk_free = error ? 0 : static_cast<int64_t>(space.available);
  return memory;
}

Blas measure_blas() {
  using Clock = std::chrono::steady_clock;
  Blas blas;
  blas.config = openblas_get_config();
  blas.core = openblas_get_corename();
  blas.threads = openblas_get_num_threads();
  constexpr int size = 1024;
  constexpr double flops = 2.0 * size * size * size;
  const std::vector<float> a(size_t{size} * size, 0.5f), b(a);
  std::vector<float> c(a.size());
  // The best of as many as fit in 0.3 s, at least two: the first wakes the threads and the clock.
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < 2 || Clock::now() - begin < std::chrono::milliseconds(300); ++round) {
    const Clock::time_point start = Clock::now();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size, size, size, 1, a.data(), size, b.data(), size,
                0, c.data(), size);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    blas.sgemm_gflops = std::max(blas.sgemm_gflops, flops / seconds / 1e9);
  }
  return blas;
}

}  // namespace lethe
