#include "tools/bench/process_clock.h"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace lethe {

// Field 22 of /proc/self/stat is the start in clock ticks since the machine's; field 2, the name, may hold
// spaces and brackets, so counting begins behind its last bracket (proc(5)).
double process_seconds() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t bracket = text.rfind(')');
  timespec now{};
  if (bracket == std::string::npos || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return -1;
  std::istringstream fields(text.substr(bracket + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  if (!fields) return -1;
  const double start = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - start;
}

}  // namespace lethe
