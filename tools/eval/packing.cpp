#include "tools/eval/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"

namespace lethe::eval {
namespace {

// Longest first; equal inputs stand together.
std::vector<size_t> by_length(std::span<const ScoreRequest> requests) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    const std::vector<int32_t>&x = requests[a].input, &y = requests[b].input;
    return x.size() != y.size() ? x.size() > y.size() : x < y;
  });
  return order;
}

}  // namespace

std::vector<std::vector<size_t>> plan_passes(std::span<const ScoreRequest> requests,
                                             const PassLimits& limits) {
  std::vector<std::vector<size_t>> passes;
  int64_t tokens = 0, wanted = 0;
  for (const size_t r : by_length(requests)) {
    const auto length = std::ssize(requests[r].input), targets = std::ssize(requests[r].targets);
    if (length > limits.tokens || targets > limits.wanted) {
      throw DataError(
          fmt::format("a request of {} tokens, {} of them asked for, fits in no pass of {} and {}", length,
                      targets, limits.tokens, limits.wanted));
    }
    const bool has_room = !passes.empty() && wanted + targets <= limits.wanted &&
                          (limits.requests == 0 || std::ssize(passes.back()) < limits.requests);
    const bool same = has_room && requests[passes.back().back()].input == requests[r].input;
    if (!has_room || (!same && tokens + length > limits.tokens)) {
      passes.emplace_back();
      tokens = wanted = 0;
    }
    if (!same) tokens += length;
    wanted += targets;
    passes.back().push_back(r);
  }
  return passes;
}

PackedPass pack(std::span<const ScoreRequest> requests, std::span<const size_t> chosen) {
  PackedPass made;
  const std::vector<int32_t>* before = nullptr;
  int32_t start = 0;
  for (const size_t r : chosen) {
    const ScoreRequest& request = requests[r];
    if (!before || *before != request.input) {
      start = static_cast<int32_t>(made.ids.size());
      made.ids.insert(made.ids.end(), request.input.begin(), request.input.end());
      made.document_start.resize(made.ids.size(), start);
      for (size_t i = 0; i < request.input.size(); ++i) made.positions.push_back(static_cast<int32_t>(i));
      before = &request.input;
    }
    made.parts.push_back({r, made.rows.size()});
    const size_t first = request.input.size() - request.targets.size();
    for (size_t i = 0; i < request.targets.size(); ++i) {
      made.rows.push_back(start + static_cast<int32_t>(first + i));
      made.labels.push_back(request.targets[i]);
    }
  }
  return made;
}

}  // namespace lethe::eval
