// Where a step's time goes, by kind of operation, against what the machine can do.
#pragma once

#include <string>
#include <vector>

#include "engine/tape.h"

namespace lethe {

struct ProfileRow {
  std::string kind;  // the operation's name
  int64_t calls = 0;
  double seconds = 0, flops = 0, bytes = 0;  // of one step
};

// Adds a program's nodes, which took `seconds` each in one step, to the rows of their kind.
void add_profile(std::vector<ProfileRow>& rows, const Tape& tape, const std::vector<double>& seconds);

// Slowest kind first. flops_per_s: what sgemm reaches; bytes_per_s: what a copy reaches; `limit` is the
// larger of the shares of the two.
std::string profile_table(std::vector<ProfileRow> rows, double flops_per_s, double bytes_per_s);

}  // namespace lethe
