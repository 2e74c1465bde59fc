#include "tools/eval/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/error.h"

namespace lethe::eval {
namespace {

int64_t common_beginning(const std::vector<int32_t>& a, const std::vector<int32_t>& b, int64_t most) {
  most = std::min({most, std::ssize(a), std::ssize(b)});
  return std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin();
}

// Grows a group request by request.
class Joiner {
 public:
  Joiner(std::span<const ScoreRequest> requests, const PassLimits& limits, bool branches)
      : requests_(requests), limits_(limits), branches_(branches) {}

  bool add(size_t request) {
    const ScoreRequest& r = requests_[request];
    const auto length = std::ssize(r.input), targets = std::ssize(r.targets);
    if (length > limits_.tokens || targets > limits_.wanted) {
      throw DataError(
          fmt::format("a request of {} tokens, {} of them asked for, fits in no pass of {} and {}", length,
                      targets, limits_.tokens, limits_.wanted));
    }
    if (group_.requests.empty()) {
      group_ = {.requests = {request}, .shared = length, .tokens = length, .wanted = targets};
      lengths_ = length;
      inputs_ = 1;
      return true;
    }
    const bool has_room = group_.wanted + targets <= limits_.wanted &&
                          (limits_.requests == 0 || std::ssize(group_.requests) < limits_.requests);
    if (!has_room) return false;
    if (requests_[group_.requests.back()].input != r.input) {
      if (!branches_) return false;
      // What is shared counts once, what each input has behind it by itself.
      const int64_t shared =
          common_beginning(requests_[group_.requests.front()].input, r.input, group_.shared);
      const int64_t tokens = lengths_ + length - inputs_ * shared;
      if (tokens >= group_.tokens + length || tokens > limits_.tokens) return false;
      group_.shared = shared;
      group_.tokens = tokens;
      lengths_ += length;
      ++inputs_;
    }
    group_.requests.push_back(request);
    group_.wanted += targets;
    return true;
  }

  Group take() { return std::exchange(group_, {}); }

 private:
  std::span<const ScoreRequest> requests_;
  PassLimits limits_;
  bool branches_;
  Group group_;
  int64_t lengths_ = 0, inputs_ = 0;  // of the group's different inputs
};

// Appends request.input's tokens from `shared` on, behind the group's beginning at `start`.
void append_branch(PackedPass& made, const std::vector<int32_t>& input, int32_t start, int64_t shared) {
  const auto branch = static_cast<int32_t>(made.ids.size());
  made.ids.insert(made.ids.end(), input.begin() + shared, input.end());
  made.document_start.resize(made.ids.size(), start);
  made.hidden_from.resize(made.ids.size(), start + static_cast<int32_t>(shared));
  made.hidden_to.resize(made.ids.size(), branch);
  for (int64_t i = shared; i < std::ssize(input); ++i) made.positions.push_back(static_cast<int32_t>(i));
}

}  // namespace

std::vector<Group> group_requests(std::span<const ScoreRequest> requests, const PassLimits& limits,
                                  bool branches) {
  std::vector<Group> groups;
  Joiner joiner(requests, limits, branches);
  for (size_t r = 0; r < requests.size(); ++r) {
    if (joiner.add(r)) continue;
    groups.push_back(joiner.take());
    joiner.add(r);
  }
  if (!requests.empty()) groups.push_back(joiner.take());
  return groups;
}

std::vector<std::vector<Group>> plan_passes(std::vector<Group> groups, const PassLimits& limits) {
  std::ranges::stable_sort(groups, std::ranges::greater(), &Group::tokens);
  std::vector<std::vector<Group>> passes;
  int64_t tokens = 0, wanted = 0, requests = 0;
  for (Group& group : groups) {
    const bool has_room = !passes.empty() && tokens + group.tokens <= limits.tokens &&
                          wanted + group.wanted <= limits.wanted &&
                          (limits.requests == 0 || requests + std::ssize(group.requests) <= limits.requests);
    if (!has_room) {
      passes.emplace_back();
      tokens = wanted = requests = 0;
    }
    tokens += group.tokens;
    wanted += group.wanted;
    requests += std::ssize(group.requests);
    passes.back().push_back(std::move(group));
  }
  return passes;
}

PackedPass pack(std::span<const ScoreRequest> requests, const std::vector<Group>& groups) {
  PackedPass made;
  for (const Group& group : groups) {
    const auto start = static_cast<int32_t>(made.ids.size());
    const std::vector<int32_t>& first_input = requests[group.requests.front()].input;
    append_branch(made, {first_input.begin(), first_input.begin() + group.shared}, start, 0);
    const std::vector<int32_t>* before = nullptr;
    int32_t branch = 0;
    for (const size_t r : group.requests) {
      const ScoreRequest& request = requests[r];
      if (!before || *before != request.input) {
        branch = static_cast<int32_t>(made.ids.size());
        append_branch(made, request.input, start, group.shared);
        before = &request.input;
      }
      made.parts.push_back({r, made.rows.size()});
      const int64_t first = std::ssize(request.input) - std::ssize(request.targets);
      for (int64_t i = 0; i < std::ssize(request.targets); ++i) {
        const int64_t at = first + i;
        made.rows.push_back(
            static_cast<int32_t>(at < group.shared ? start + at : branch + at - group.shared));
        made.labels.push_back(request.targets[static_cast<size_t>(i)]);
      }
    }
  }
  return made;
}

}  // namespace lethe::eval
