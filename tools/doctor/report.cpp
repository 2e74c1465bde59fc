// The doctor's findings for people and for programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/doctor/machine.h"

namespace lethe {
namespace {

struct Line {
  std::string what, found, use;
};

std::string gib(int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / 0x1p30);
}

std::string or_none(const std::string& text) {
  return text.empty() ? "not found" : text;
}

bool is_usable(const Cuda& cuda) {
  return cuda.compiled_in && cuda.trouble.empty() &&
         std::ranges::any_of(cuda.devices, [](const Gpu& g) { return g.trouble.empty(); });
}

// What lethe can do with the GPUs, in one sentence.
std::string gpu_use(const Cuda& cuda) {
  if (cuda.driver.empty()) {
    return cuda.compiled_in ? "no NVIDIA driver: training runs on the CPU" : "training runs on the CPU";
  }
  if (!cuda.trouble.empty()) {
    return "the driver cannot be used: " + cuda.trouble;
  }
  if (cuda.devices.empty()) {
    return "the driver is there but shows no GPU: training runs on the CPU";
  }
  const bool fits = std::ranges::any_of(cuda.devices, [](const Gpu& g) { return g.trouble.empty(); });
  if (!fits) {
    return "training runs on the CPU: " + cuda.devices[0].trouble;
  }
  return cuda.compiled_in ? "training can run on the GPU (device: cuda)"
                          : "not used: this lethe was built without CUDA (needs nvcc and the preset cuda)";
}

std::vector<Line> lines_of(const Machine& m) {
  std::vector<Line> lines = {
      {"lethe", m.lethe_version, ""},
      {"cpu", or_none(m.cpu.model),
       fmt::format("{} cores used unless `threads` says otherwise", m.cpu.cores)},
      {"instructions", m.cpu.flags.empty() ? "none of note" : fmt::format("{}", fmt::join(m.cpu.flags, " ")),
       "CPU kernels compiled with -march=" + m.cpu.compiled_for},
      {"memory", gib(m.memory.total), gib(m.memory.available) + " free for a run (memory_budget_gb)"},
      {"disk", gib(m.memory.disk_free), "free in this folder, for checkpoints and caches"},
      {"OpenBLAS", fmt::format("{}, {} threads", m.blas.core, m.blas.threads), m.blas.config},
      {"sgemm", fmt::format("{:.1f} GFLOP/s", m.blas.sgemm_gflops), "measured, 1024 x 1024 x 1024, float32"},
      {"CUDA in lethe", m.cuda.compiled_in ? "yes" : "no", gpu_use(m.cuda)},
      {"CUDA driver", m.cuda.driver.empty() ? "not found" : "up to CUDA " + m.cuda.driver, ""},
      {"CUDA runtime", or_none(m.cuda.runtime),
       m.cuda.compiled_in ? "kernels compiled for " + m.cuda.architectures : ""},
  };
  for (size_t i = 0; i < m.cuda.devices.size(); ++i) {
    const Gpu& gpu = m.cuda.devices[i];
    lines.push_back({fmt::format("GPU {}", i), gpu.name,
                     fmt::format("{}, compute capability {}.{}", gib(gpu.memory), gpu.major, gpu.minor)});
  }
  lines.push_back({"NCCL", or_none(m.nccl.version), ""});
  lines.push_back(
      {"MPI", or_none(m.mpi.version), LETHE_WITH_MPI ? "" : "lethe was built without: runs of one process"});
  lines.push_back({"rsvg-convert", or_none(m.rsvg_convert.version),
                   m.rsvg_convert.version.empty()
                       ? "needed for PNG figures (Debian package librsvg2-bin); SVG "
                         "figures need nothing"
                       : "PNG figures beside SVG"});
  lines.push_back({"sandbox", m.sandbox_refusal.empty() ? "yes" : "no",
                   m.sandbox_refusal.empty()
                       ? "generated programs (HumanEval, MBPP) run where they can do no harm"
                       : "generated programs are not run: " + m.sandbox_refusal});
  for (const Component& library : m.libraries) {
    lines.push_back({library.name, library.version, ""});
  }
  return lines;
}

// A component's version, or null where it was not found.
nlohmann::ordered_json version_of(const std::string& version) {
  return version.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(version);
}

}  // namespace

std::string report_text(const Machine& machine) {
  const std::vector<Line> lines = lines_of(machine);
  size_t what_width = 0, found_width = 0;
  for (const Line& line : lines) {
    what_width = std::max(what_width, line.what.size());
    found_width = std::max(found_width, std::min<size_t>(line.found.size(), 40));
  }
  std::string text;
  for (const Line& line : lines) {
    const std::string row =
        fmt::format("{:{}}  {:{}}  {}", line.what, what_width, line.found, found_width, line.use);
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string report_json(const Machine& m) {
  using Json = nlohmann::ordered_json;
  Json devices = Json::array(), libraries = Json::object();
  for (const Gpu& gpu : m.cuda.devices) {
    devices.push_back({{"name", gpu.name},
                       {"memory_bytes", gpu.memory},
                       {"compute_capability", fmt::format("{}.{}", gpu.major, gpu.minor)},
                       {"trouble", version_of(gpu.trouble)}});
  }
  for (const Component& library : m.libraries) {
    libraries[library.name] = library.version;
  }
  const Json report = {
      {"lethe", m.lethe_version},
      {"cpu",
       {{"model", m.cpu.model},
        {"cores", m.cpu.cores},
        {"instructions", m.cpu.flags},
        {"compiled_for", m.cpu.compiled_for}}},
      {"memory", {{"total_bytes", m.memory.total}, {"available_bytes", m.memory.available}}},
      {"disk_free_bytes", m.memory.disk_free},
      {"openblas",
       {{"config", m.blas.config},
        {"core", m.blas.core},
        {"threads", m.blas.threads},
        {"sgemm_gflops", m.blas.sgemm_gflops}}},
      {"cuda",
       {{"compiled_in", m.cuda.compiled_in},
        {"driver", version_of(m.cuda.driver)},
        {"trouble", version_of(m.cuda.trouble)},
        {"runtime", version_of(m.cuda.runtime)},
        {"devices", devices},
        {"architectures", m.cuda.architectures},
        {"usable", is_usable(m.cuda)},
        {"use", gpu_use(m.cuda)}}},
      {"nccl", version_of(m.nccl.version)},
      {"mpi", version_of(m.mpi.version)},
      {"rsvg_convert", version_of(m.rsvg_convert.version)},
      {"sandbox", {{"usable", m.sandbox_refusal.empty()}, {"trouble", version_of(m.sandbox_refusal)}}},
      {"libraries", libraries},
  };
  // A device's or a processor's name may hold bytes that are not UTF-8.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lethe
