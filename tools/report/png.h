// SVG to PNG by the program rsvg-convert.
#pragma once

#include <string>

namespace lethe::report {

// Writes png_path from svg_path at `zoom` times its size. False when there is no such program to run.
// Throws RunError naming the file when it ran and failed.
bool convert_to_png(const std::string& svg_path, const std::string& png_path, double zoom = 2,
                    const std::string& program = "rsvg-convert");

}  // namespace lethe::report
