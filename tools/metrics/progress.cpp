#include "tools/metrics/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/log.h"

namespace lethe {
namespace {

// "834", "12.3k", "1.25M"
std::string rate_text(double rate) {
  if (rate < 1e4) return fmt::format("{:.0f}", rate);
  if (rate < 1e6) return fmt::format("{:.1f}k", rate / 1e3);
  return fmt::format("{:.2f}M", rate / 1e6);
}

// All that is known, most wanted first.
std::vector<std::string> fields(const Progress& progress) {
  std::vector<std::string> words{fmt::format("{} {}/{}", progress.counted, progress.step, progress.total)};
  const auto add = [&](double value, const std::string& text) {
    if (!std::isnan(value)) words.push_back(text);
  };
  if (progress.step > 0 && progress.has_loss) words.push_back(fmt::format("loss {:.4f}", progress.loss));
  add(progress.tokens_per_second, rate_text(progress.tokens_per_second) + " tokens/s");
  add(progress.seconds_left, clock_text(progress.seconds_left) + " left");
  if (!progress.note.empty()) words.push_back(progress.note);
  add(progress.learning_rate, fmt::format("lr {:.2e}", progress.learning_rate));
  add(progress.gradient_norm, fmt::format("grad norm {:.3f}", progress.gradient_norm));
  return words;
}

double fraction_done(const Progress& progress) {
  if (progress.total <= 0) return 0;
  return std::clamp(static_cast<double>(progress.step) / static_cast<double>(progress.total), 0.0, 1.0);
}

// The bar in eighths of a cell, between two rules; `cells` wide.
std::string bar(double fraction, int cells) {
  static constexpr const char* eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int filled = static_cast<int>(std::floor(fraction * cells * 8));
  std::string text = "▕";
  for (int i = 0; i < filled / 8; ++i) text += "█";
  text += eighths[filled % 8];
  for (int i = (filled + 7) / 8; i < cells; ++i) text += " ";
  return text + "▏";
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string clock_text(double seconds) {
  if (!(seconds >= 0) || std::isinf(seconds)) return "?";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string progress_bar_line(const Progress& progress, int columns) {
  constexpr int smallest_bar = 10, widest_bar = 40, percentage_width = 4, rules = 2;
  const std::string percentage = fmt::format("{:3.0f}%", std::floor(100 * fraction_done(progress)));
  std::string words;
  int bar_cells = columns - percentage_width - rules - 1;
  for (const std::string& field : fields(progress)) {
    const int width = static_cast<int>(field.size()) + 2;  // every field is ASCII
    if (bar_cells - width < smallest_bar) break;
    words += "  " + field;
    bar_cells -= width;
  }
  if (bar_cells < 1) return percentage.substr(0, static_cast<size_t>(std::max(columns, 0)));
  return percentage + " " + bar(fraction_done(progress), std::min(bar_cells, widest_bar)) + words;
}

std::string progress_plain_line(const Progress& progress) {
  std::string line = fmt::format("{:3.0f}%", std::floor(100 * fraction_done(progress)));
  for (const std::string& field : fields(progress)) line += "  " + field;
  return line;
}

bool Throttle::due(double now) {
  if (now - last_ < interval_) return false;
  last_ = now;
  return true;
}

ProgressBar::ProgressBar(double plain_interval)
    : terminal_(isatty(STDERR_FILENO) != 0), throttle_(terminal_ ? 0.1 : plain_interval) {
  if (!terminal_) return;
  log::set_hooks({.before =
                      [this] {
                        mutex_.lock();
                        if (drawn_) clear();
                      },
                  .after =
                      [this] {
                        if (drawn_) draw();
                        mutex_.unlock();
                      }});
}

ProgressBar::~ProgressBar() {
  if (!terminal_) return;
  log::set_hooks({});
  if (drawn_) std::fputc('\n', stderr);
}

void ProgressBar::update(const Progress& progress) {
  const bool last = progress.step >= progress.total;
  if (!throttle_.due(seconds_now()) && !last) return;
  if (!terminal_) {
    log::info(progress_plain_line(progress));
    return;
  }
  const std::lock_guard lock(mutex_);
  last_ = progress;
  drawn_ = true;
  draw();
}

void ProgressBar::draw() const {
  // One column stays free: some terminals wrap after the last.
  std::fprintf(stderr, "\r\x1b[2K%s", progress_bar_line(last_, terminal_columns() - 1).c_str());
  std::fflush(stderr);
}

void ProgressBar::clear() {
  std::fputs("\r\x1b[2K", stderr);
}

}  // namespace lethe
