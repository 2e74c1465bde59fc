#include "optim/owners.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace lethe {

Sharding sharding_from(const std::string& name) {
  constexpr std::array names = {"none", "zero1", "zero2", "zero3"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<Sharding>(i);
  }
  throw ConfigError("distributed.sharding", "must be none, zero1, zero2 or zero3, is \"" + name + "\"");
}

std::vector<int> weight_owners(const State& state, const Distribution& distribution) {
  std::vector<int> found(static_cast<size_t>(state.size()), -1);
  if (!distribution.shared() || distribution.sharding == Sharding::none) return found;
  std::vector<int32_t> owned = state.trainable();
  if (distribution.sharding == Sharding::zero3) {
    owned.clear();
    for (int32_t i = 0; i < state.size(); ++i) {
      if (state[i].kind == Kind::weight && state[i].parent < 0) owned.push_back(i);
    }
  }
  const std::vector<int> owners = owners_of(state, owned, distribution.world());
  for (size_t i = 0; i < owned.size(); ++i) found[static_cast<size_t>(owned[i])] = owners[i];
  return found;
}

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
