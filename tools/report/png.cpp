#include "tools/report/png.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "tools/process.h"

namespace lethe::report {

bool convert_to_png(const std::string& svg_path, const std::string& png_path, double zoom,
                    const std::string& program) {
  const ProcessResult result = run_process(
      {program, "--format=png", fmt::format("--zoom={}", zoom), "--output", png_path, "--", svg_path});
  if (result.status == 127) return false;
  if (result.status != 0) {
    throw RunError(fmt::format("{}: {} could not make {} of it", svg_path, program, png_path));
  }
  return true;
}

}  // namespace lethe::report
