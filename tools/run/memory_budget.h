// How many bytes a run may plan for.
#pragma once

#include <cstdint>

#include "engine/backend/backend.h"

namespace lethe {

// What the option memory_budget_gb stands for, in bytes: itself, or for 0 all the memory of the machine (of
// the container, where one limits it; on a GPU what is free there, if that is known, else -1: no budget). A
// plan beyond that could only be killed by the system halfway. A GPU's budget is never more than is free.
int64_t memory_budget(double memory_budget_gb, const Device& device, int64_t free_on_device = -1);
int64_t memory_budget(double memory_budget_gb, const Backend& backend);

}  // namespace lethe
