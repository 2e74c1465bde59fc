// A timeline as a file that Perfetto (ui.perfetto.dev) and chrome://tracing open.
#pragma once

#include <string>

#include "engine/timeline.h"

namespace lethe {

// The Trace Event Format ("Trace Event Format", Chromium project): one process for the GPU with a track a
// stream, one for the host with a track a thread and one for the steps. Times count from the first record, in
// microseconds. What a summary says stands under otherData.
std::string timeline_json(const Timeline& timeline);

// The summary in a few lines, for people.
std::string summary_text(const TimelineSummary& summary);

}  // namespace lethe
