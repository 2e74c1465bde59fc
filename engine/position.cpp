#include "engine/position.h"

#include <fmt/format.h>

namespace lethe {

Position::Program::Program(const Tape& tape, bool device) : name(tape.name()), on_device(device) {
  for (const Node& node : tape.nodes()) {
    nodes.push_back(fmt::format("{} ({})", node.path, node.op->name()));
    sums.push_back(node.stream != 0);
  }
}

void Position::begin(std::shared_ptr<const Program> program) {
  const std::lock_guard lock(mutex_);
  program_ = std::move(program);
  node_ = kBehind;
  between(nullptr);
}

Position::Place Position::place() const {
  const std::lock_guard lock(mutex_);
  if (!program_) return {};
  const Program& p = *program_;
  const int64_t node = node_;
  if (node < 0 || node >= static_cast<int64_t>(p.nodes.size())) {
    const char* const between = between_;
    return {fmt::format("{} {}{}{}", p.on_device ? "queued" : "behind", p.name, between ? ": " : "",
                        between ? between : ""),
            between && waits_};
  }
  const auto n = static_cast<size_t>(node);
  return {fmt::format("{}{}, node {} of {}: {}", p.on_device ? "queues " : "", p.name, n + 1, p.nodes.size(),
                      p.nodes[n]),
          p.sums[n]};
}

}  // namespace lethe
