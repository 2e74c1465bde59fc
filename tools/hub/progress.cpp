#include "tools/hub/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "engine/log.h"
#include "tools/metrics/progress.h"

namespace lethe {

std::string download_line(const std::string& what, int64_t done, int64_t total, int64_t start,
                          double seconds) {
  std::string line = fmt::format("{}: {:.1f} of {:.1f} MB", what, static_cast<double>(done) / 1e6,
                                 static_cast<double>(total) / 1e6);
  const double rate = seconds > 0 ? static_cast<double>(done - start) / seconds : 0;
  if (rate <= 0) return line;
  line += fmt::format(", {:.1f} MB/s", rate / 1e6);
  if (done < total) line += fmt::format(", {} left", clock_text(static_cast<double>(total - done) / rate));
  return line;
}

DownloadProgress::DownloadProgress(std::string what, int64_t total, int64_t done)
    : what_(std::move(what)),
      total_(total),
      start_(done),
      shown_(began_),
      terminal_(isatty(STDERR_FILENO) != 0) {}

DownloadProgress::~DownloadProgress() {
  if (drawn_) std::fputc('\n', stderr);
}

void DownloadProgress::update(int64_t done) {
  constexpr int64_t worth_a_line = 1'000'000;
  if (total_ < worth_a_line) return;
  const auto now = Clock::now();
  const std::chrono::duration<double> since = now - shown_, all = now - began_;
  const bool last = done >= total_;
  if (!last && since.count() < (terminal_ ? 0.1 : 10)) return;
  shown_ = now;
  const std::string line = download_line(what_, done, total_, start_, all.count());
  if (!terminal_) {
    log::info(line);
    return;
  }
  std::fprintf(stderr, "\r\x1b[2K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace lethe
