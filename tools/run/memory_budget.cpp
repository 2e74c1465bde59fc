#include "tools/run/memory_budget.h"

#include <algorithm>

#include "tools/doctor/machine.h"

namespace lethe {

int64_t memory_budget(double memory_budget_gb, const Device& device, int64_t free_on_device) {
  const auto asked = static_cast<int64_t>(memory_budget_gb * 1e9);
  if (device.kind == DeviceKind::cuda) {
    if (asked <= 0) return free_on_device;
    return free_on_device < 0 ? asked : std::min(asked, free_on_device);
  }
  if (asked > 0) return asked;
  const int64_t total = find_memory().total;
  return total > 0 ? total : -1;  // unknown: no budget
}

int64_t memory_budget(double memory_budget_gb, const Backend& backend) {
  return memory_budget(memory_budget_gb, backend.device(), backend.free_memory());
}

}  // namespace lethe
