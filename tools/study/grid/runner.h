// A grid study, run: one job after the other on one device, spectra beside them on the CPU.
#pragma once

#include <string>
#include <vector>

namespace lethe::grid {

struct Request {
  std::string file;
  std::vector<std::string> assignments;
  std::string output;
  std::string command;
  double max_minutes = 0;  // 0: no limit
};

// Runs what is not finished yet. False: the time was up first. Throws what its parts throw; finished jobs
// stay finished.
bool run_grid(const Request& request);

// The jobs, what each trains, and what they will cost, as text. Trains nothing.
std::string describe_grid(const Request& request);

}  // namespace lethe::grid
