#include "tools/run/memory_budget.h"

#include "tools/doctor/machine.h"

namespace lethe {

int64_t memory_budget(double memory_budget_gb, const Device& device) {
  if (memory_budget_gb > 0) return static_cast<int64_t>(memory_budget_gb * 1e9);
  if (device.kind == DeviceKind::cuda) return -1;
  const int64_t total = find_memory().total;
  return total > 0 ? total : -1;  // unknown: no budget
}

}  // namespace lethe
