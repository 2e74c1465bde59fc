// The report of a grid study, from its results alone.
#pragma once

#include <string>

namespace lethe::analysis {

// Writes report.md, figures/*.svg and .png and tables/*.csv into output_dir from a results.jsonl. The same
// file gives the same bytes. Files that an earlier report left there and that have no place in this one are
// removed. Without rsvg-convert there are no PNGs, and a warning. Throws IoError, RunError and FormatError
// as read_records does, before anything is written.
void write_report(const std::string& results_path, const std::string& output_dir);

}  // namespace lethe::analysis
