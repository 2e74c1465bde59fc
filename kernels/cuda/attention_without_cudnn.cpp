// The library of a build that has no cuDNN: it refuses every problem.
#include <set>
#include <stdexcept>

#include "kernels/attention_library.h"

namespace lethe::kernels::cuda {

struct AttentionLibrary::Plan {};
struct AttentionLibrary::Parts {
  std::set<std::string> told;
};

AttentionLibrary::AttentionLibrary(std::string) : parts_(std::make_unique<Parts>()) {}
AttentionLibrary::~AttentionLibrary() = default;

int64_t AttentionLibrary::version() {
  return 0;
}

const AttentionLibrary::Plan* AttentionLibrary::plan(const AttentionProblem&, int64_t, std::string* refusal) {
  if (refusal) *refusal = "this build is without cuDNN";
  return nullptr;
}

bool AttentionLibrary::is_news(const std::string& refusal) {
  return parts_->told.insert(refusal).second;
}

void AttentionLibrary::run(const Plan&, const AttentionBuffers&, Stream) {
  throw std::runtime_error("attention: this build is without cuDNN");
}

}  // namespace lethe::kernels::cuda
