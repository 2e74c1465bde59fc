#include "optim/owners.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace lethe {

std::vector<int> owners_of(const State& state, const std::vector<int32_t>& parameters, int world) {
  if (parameters.size() < static_cast<size_t>(world)) {
    throw ConfigError(
        "distributed.sharding",
        fmt::format("{} trained tensors leave some of {} processes nothing", parameters.size(), world));
  }
  const auto elements = [&](size_t i) { return elements_of(state[parameters[i]].shape); };
  std::vector<size_t> order(parameters.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return elements(a) > elements(b); });
  std::vector<int64_t> held(static_cast<size_t>(world));
  std::vector<int> owners(parameters.size());
  for (const size_t i : order) {
    const auto least = std::ranges::min_element(held);
    owners[i] = static_cast<int>(least - held.begin());
    // An empty tensor counts too: no rank is to be left without any.
    *least += std::max<int64_t>(1, elements(i));
  }
  return owners;
}

}  // namespace lethe
