// SIGINT and SIGTERM as a question the training loop asks, so that a run saves before it ends.
#pragma once

namespace lethe {

// While one lives, the first SIGINT or SIGTERM is remembered; a second SIGINT ends the process at once.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  // The signal that came, or 0.
  static int received();
};

}  // namespace lethe
