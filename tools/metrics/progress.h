// How far a run is: a bar that redraws itself on a terminal, a plain line now and then elsewhere.
#pragma once

#include <cstdint>
#include <limits>
#include <mutex>
#include <string>

namespace lethe {

// What is not known is NaN and left out; only a loss of NaN is shown, from the first step on: it is news.
struct Progress {
  int64_t step = 0, total = 0;
  double tokens_per_second = std::numeric_limits<double>::quiet_NaN();
  double seconds_left = std::numeric_limits<double>::quiet_NaN();
  double loss = std::numeric_limits<double>::quiet_NaN();
  double learning_rate = std::numeric_limits<double>::quiet_NaN();
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
  const char* counted = "step";
  bool has_loss = true;   // false: the work has none
  std::string note = {};  // in ASCII; empty: none
};

// "3:07" below an hour, "2:03:07" from there on; "?" for NaN or below zero.
std::string clock_text(double seconds);

// One line of at most `columns` characters: percentage, bar, step, and as many of the rest as fit.
std::string progress_bar_line(const Progress& progress, int columns);

// The same words without a bar, for a file or a pipe.
std::string progress_plain_line(const Progress& progress);

// Answers whether `interval` seconds have passed since it last answered yes.
class Throttle {
 public:
  explicit Throttle(double interval) : interval_(interval) {}
  bool due(double now);

 private:
  double interval_;
  double last_ = -std::numeric_limits<double>::infinity();
};

// Draws on standard error. While one lives on a terminal it holds engine/log.h's hooks, so that lines of the
// log appear above the bar; one at a time.
class ProgressBar {
 public:
  // Away from a terminal: a line every `plain_interval` seconds, and at the first and the last step.
  explicit ProgressBar(double plain_interval = 10);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Cheap to call at every step: a terminal is redrawn at most ten times a second.
  void update(const Progress& progress);

 private:
  void draw() const;
  static void clear();

  bool terminal_;
  Throttle throttle_;
  std::mutex mutex_;  // guards what follows: the log may speak from another thread
  Progress last_;
  bool drawn_ = false;
};

}  // namespace lethe
