// Whether a run's programs fit the memory there is, and what would.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/session.h"
#include "tools/run/programs.h"

namespace lethe {

// A change of the request, and the bytes that it then plans.
struct Fit {
  Recompute recompute = Recompute::none;
  int64_t rows = 0;  // the micro-batch
  int64_t arena_bytes = 0;
};

// Bytes that the programs of `spec` plan on this device.
int64_t planned_bytes(const ProgramSpec& spec, const Device& device);

// The change that costs least speed: the micro-batch as it is with the first policy that fits of those that
// recompute more; or else the largest divisor of it with which, with the first policy that fits. Nothing if
// none does, or if the program has no backward pass to save memory in.
std::optional<Fit> cheapest_fit(const ProgramSpec& spec, const Device& device, int64_t budget_bytes);

// "needs 91.2 GB of 79.1 GB; train.recompute: mlp would fit (61.0 GB)".
std::string fit_text(const ProgramSpec& spec, const Device& device, int64_t budget_bytes);

// The programs' session. Throws MemoryError that names the tensor which crosses the budget, the bytes of the
// whole plan and what would fit; nothing is allocated then.
std::unique_ptr<Session> make_session(Programs& programs, const ProgramSpec& spec,
                                      std::unique_ptr<Backend> backend, int64_t budget_bytes);

// The same refusal where no session is wanted. Throws MemoryError.
Plan plan_within(const Programs& programs, const ProgramSpec& spec, const Device& device,
                 int64_t budget_bytes);

}  // namespace lethe
