#include "tools/run/signals.h"

#include <atomic>
#include <csignal>

namespace lethe {
namespace {

std::atomic<int> signal_received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch what is lock-free");

void remember(int signal) {
  if (signal_received.exchange(signal) != 0) std::signal(signal, SIG_DFL);
}

}  // namespace

SignalGuard::SignalGuard() {
  signal_received = 0;
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

SignalGuard::~SignalGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

int SignalGuard::received() {
  return signal_received;
}

}  // namespace lethe
