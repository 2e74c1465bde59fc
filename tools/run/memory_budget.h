// How many bytes a run may plan for.
#pragma once

#include <cstdint>

#include "engine/op.h"

namespace lethe {

// What the option memory_budget_gb stands for, in bytes: itself, or for 0 all the memory of the machine (of
// the container, where one limits it). A plan beyond that could only be killed by the system halfway. On a
// GPU 0 is no budget (-1): its backend refuses an arena that its free memory does not hold.
int64_t memory_budget(double memory_budget_gb, const Device& device);

}  // namespace lethe
