// What the ranks of one run must do alike: begin with the same request, and end together.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/comm/comm.h"

namespace lethe {

// A failure that every rank knows of: one tells it, all leave with its exit status.
struct SharedFailure {
  int status = 1;
  std::string text;
};

// Calls `work` on each rank and returns when all are done. If it throws on some, throws SharedFailure on all,
// with the message and status of the first of them and its number unless all say the same. In one process
// the exception is `work`'s own.
void together(Comm& comm, const std::function<void()>& work);

// Whether it is true on any rank. Collective.
bool on_any_rank(Comm& comm, bool value);

// Whose own part of a loss (own_loss) was not finite, for a step that all ranks know to have failed as `text`
// says: the first of these ranks and then the text. Collective.
std::string who_diverged(Comm& comm, const std::string& text, double own_loss);

// What there is by key, as text; the keys are the same on all ranks and in one order.
using Facts = std::vector<std::pair<std::string, std::string>>;

// Throws SharedFailure, status 2, with a line for each key of each rank whose text is not the first rank's.
void require_same(Comm& comm, const Facts& facts);

// The micro-batches of a step that a rank computes, one behind the other.
struct Share {
  int64_t first = 0, count = 0;
};
// As even as can be. Throws ConfigError if there are fewer micro-batches than ranks.
Share share_of(int64_t micro_batches, int rank, int world);

}  // namespace lethe
