// Built plans on disk, a file each. A plan that cannot be read or written is no error: it is built again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lethe::kernels::cuda {

// key: all that a plan was built for, the library and the GPU included; it is stored beside the plan and
// compared, with a checksum.
std::optional<std::vector<uint8_t>> read_plan(const std::string& folder, const std::string& key);

// Through a file of its own that is renamed: another process sees the whole plan or none.
void write_plan(const std::string& folder, const std::string& key, const std::vector<uint8_t>& plan);

}  // namespace lethe::kernels::cuda
