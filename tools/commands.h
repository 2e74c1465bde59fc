// The subcommands; each is one file in tools/.
#pragma once

#include <string>
#include <vector>

namespace lethe {

int doctor_command(const std::vector<std::string>& arguments);
int options_command(const std::vector<std::string>& arguments);

}  // namespace lethe
