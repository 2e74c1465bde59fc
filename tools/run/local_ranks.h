// The ranks of a run as child processes on this machine.
#pragma once

#include <string>
#include <vector>

namespace lethe {

// How a run of several processes ended.
struct RanksEnd {
  int status =
      0;          // of the first rank that failed; 128 + the signal's number if one ended it; 0: all did well
  int rank = -1;  // that rank
  int signalled = 0;  // the SIGTERM or SIGINT that came to this process and was passed on
};

// Starts this program `ranks` times with these arguments and torchrun's variables, waits for all. restart:
// how often the run was started before, of at most `restarts`. SIGTERM and SIGINT are passed on to each. When
// a rank fails, the others get some seconds to see it and end, then they are killed; they are killed too if
// this process dies. Throws RunError if the system starts no process (those it started are ended), CommError
// if it has no free port.
RanksEnd run_local_ranks(int ranks, const std::vector<std::string>& arguments, int restart, int restarts);

}  // namespace lethe
