// How many bytes a run may plan for.
#pragma once

#include <cstdint>

namespace lethe {

// What the option memory_budget_gb stands for, in bytes: itself, or for 0 all the memory of the machine (of
// the container, where one limits it). A plan beyond that could only be killed by the system halfway.
int64_t memory_budget(double memory_budget_gb);

}  // namespace lethe
