// Where a step's time goes, by kind of operation, against what the machine can do.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"

namespace lethe {

struct ProfileRow {
  std::string kind;  // the operation's name
  int64_t calls = 0;
  double seconds = 0, flops = 0, bytes = 0;  // of one step
};

// Adds one program's nodes, `runs` runs of it together, to the rows of their kind.
void add_profile(std::vector<ProfileRow>& rows, const Session& session, size_t program, int64_t runs);

// Slowest kind first. flops_per_s: what sgemm reaches; bytes_per_s: what a copy reaches; `limit` is the larger
// of the shares of the two.
std::string profile_table(std::vector<ProfileRow> rows, double flops_per_s, double bytes_per_s);

}  // namespace lethe
