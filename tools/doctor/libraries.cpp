// Libraries of this build, and those and the programs that the machine may have.
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/doctor/machine.h"
#include "tools/doctor/shared_library.h"
#include "tools/sandbox/sandbox.h"

namespace lethe {

std::vector<Component> built_with() {
  return {
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                    NLOHMANN_JSON_VERSION_PATCH)},
      {"yaml-cpp", LETHE_YAML_CPP_VERSION},
      {"CLI11", LETHE_CLI11_VERSION},
      {"sentencepiece", LETHE_SENTENCEPIECE_VERSION},
      {"PCRE2", LETHE_PCRE2_VERSION},
      {"ICU", LETHE_ICU_VERSION},
      {"libseccomp", LETHE_SECCOMP_VERSION},
      {"libcurl", LETHE_CURL_VERSION},
      {"OpenSSL", LETHE_OPENSSL_VERSION},
      {"Apache Arrow", LETHE_ARROW_VERSION},
      {"compiler", __VERSION__},
  };
}

Component find_nccl() {
  const SharedLibrary library{"libnccl.so.2"};
  const auto get_version = library.function<int (*)(int*)>("ncclGetVersion");
  int version = 0;
  if (!get_version || get_version(&version) != 0) {
    return {"NCCL", ""};
  }
  // 2.9 and later write 2.18.3 as 21803; earlier ones as 2183.
  const int major_unit = version >= 10000 ? 10000 : 1000;
  return {"NCCL", fmt::format("{}.{}.{}", version / major_unit, version % major_unit / 100, version % 100)};
}

Component find_mpi() {
  const SharedLibrary library{"libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi.so"};
  // May be called before MPI_Init (MPI 3.1, section 8.1.1); the text has room for 8192 characters at most.
  const auto get_version = library.function<int (*)(char*, int*)>("MPI_Get_library_version");
  std::array<char, 8193> text{};
  int length = 0;
  if (!get_version || get_version(text.data(), &length) != 0) {
    return {"MPI", ""};
  }
  const std::string version(text.data());
  return {"MPI", version.substr(0, version.find_first_of(",\n"))};
}

Component find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = (folder.empty() ? "." : folder) + "/" + name;
    if (access(file.c_str(), X_OK) == 0) {
      return {name, file};
    }
  }
  return {name, ""};
}

Machine examine_machine(const std::string& lethe_version) {
  return {.lethe_version = lethe_version,
          .cpu = find_cpu(),
          .memory = find_memory(),
          .blas = measure_blas(),
          .cuda = find_cuda(),
          .libraries = built_with(),
          .nccl = find_nccl(),
          .mpi = find_mpi(),
          .rsvg_convert = find_program("rsvg-convert"),
          .sandbox_refusal = sandbox_refusal()};
}

}  // namespace lethe
