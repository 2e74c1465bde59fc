// From results.jsonl to the report that people look at.
#pragma once

#include <string>

namespace lethe::report {

// Writes output_dir/report.html, one page that needs nothing else, and output_dir/figures/*.svg and *.png.
// Without rsvg-convert there are no PNGs, and the log says which package has it. Everything is read and drawn
// before anything is written. Throws FormatError and IoError as read_results does, IoError for a place that
// cannot be written.
void write_report(const std::string& results_path, const std::string& output_dir);

}  // namespace lethe::report
