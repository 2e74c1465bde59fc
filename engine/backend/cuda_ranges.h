// Named ranges on the host's timeline for tools that watch the process, such as Nsight Systems (NVTX). A few
// nanoseconds each where none is attached.
#pragma once

#include <string>

namespace lethe {

void push_range(const std::string& name);
void pop_range();

// One that ends with its scope.
class NamedRange {
 public:
  explicit NamedRange(const std::string& name) { push_range(name); }
  ~NamedRange() { pop_range(); }
  NamedRange(const NamedRange&) = delete;
  NamedRange& operator=(const NamedRange&) = delete;
};

}  // namespace lethe
