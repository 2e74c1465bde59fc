// How long a program takes on one rank of several: its kernels on one stream, the sums over the ranks on
// another, over links of stated speeds.
#pragma once

#include <vector>

#include "engine/tape.h"

namespace lethe {

// Bytes a second that one GPU sends while it receives as many, and how its world is laid out.
struct Links {
  int world = 1, per_node = 1;     // ranks, and how many of them have the fast link among them
  double within_bytes_per_s = 0;   // to a rank of the same node
  double between_bytes_per_s = 0;  // to ranks of other nodes
  double latency_seconds = 0;      // of one node of the program that moves anything
};

// Seconds of a collective whose busiest rank sends (or receives) so many bytes, the same to each of the
// others: per_node - 1 of world - 1 parts over the fast link, the rest over the network, at the same time:
//   latency + max(bytes (L - 1) / (N - 1) / within, bytes (N - L) / (N - 1) / between).
double exchange_seconds(double bytes, const Links& links);

// Of one run of a program.
struct ProgramTime {
  double seconds = 0;          // until both streams have ended
  double kernel_seconds = 0;   // of stream 0's nodes alone
  double traffic_seconds = 0;  // of the exchanges alone
  double sent_bytes = 0;       // by this rank
};

// kernel_seconds: by node. Exchanges are queued where the program has them, run one behind the other beside
// the kernels, and are awaited where the backend waits for them (awaited_before).
ProgramTime program_time(const Tape& tape, const std::vector<double>& kernel_seconds, const Links& links);

}  // namespace lethe
