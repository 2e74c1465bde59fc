#include "kernels/stopwatch.h"

#include <chrono>

namespace lethe::kernels::cpu {
namespace {

int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void start(Stopwatch& stopwatch) {
  stopwatch.begun = now();
}

void stop(Stopwatch& stopwatch) {
  stopwatch.nanoseconds += now() - stopwatch.begun;
}

}  // namespace lethe::kernels::cpu
