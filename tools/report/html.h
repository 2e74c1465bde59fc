// The report as one page: no script, no font, no image from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "tools/report/figures.h"
#include "tools/report/findings.h"

namespace lethe::report {

// The whole of report.html.
std::string report_page(const Results& results, const std::vector<Outcome>& outcomes,
                        const Findings& findings, const std::vector<Figure>& figures);

// The table of runs, one row a run and one for the base they all started from.
std::string runs_table(const std::vector<Outcome>& outcomes);

// The two corpora with their sizes, entropies and licences.
std::string corpora_table(const Study& study);

}  // namespace lethe::report
