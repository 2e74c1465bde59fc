// How far a download is, on standard error: a line that redraws itself on a terminal, one now and then
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lethe {

class DownloadProgress {
 public:
  // total: bytes of the whole; done: those there already.
  DownloadProgress(std::string what, int64_t total, int64_t done);
  ~DownloadProgress();
  DownloadProgress(const DownloadProgress&) = delete;
  DownloadProgress& operator=(const DownloadProgress&) = delete;

  // Bytes of the whole that are there now.
  void update(int64_t done);

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  int64_t total_, start_;
  Clock::time_point began_ = Clock::now(), shown_;
  bool terminal_, drawn_ = false;
};

// "model.safetensors: 123.4 of 269.1 MB, 45.1 MB/s, 0:03 left"; seconds: since `start` bytes were there.
std::string download_line(const std::string& what, int64_t done, int64_t total, int64_t start,
                          double seconds);

}  // namespace lethe
