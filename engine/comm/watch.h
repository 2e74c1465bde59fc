// Notices from a thread of its own that a rank died, stands still or cannot be heard, while the main threads
// wait in a collective. Ranks tell the store where they are; rank 0 reads it and decides for all.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "engine/comm/store.h"

namespace lethe {

class Watch {
 public:
  // hang: the longest time without a new step on any rank, and without a word of one; 0: no limit, and only
  // the death of a rank is noticed. end: called once, on the watch's thread, with what is to be said on this
  // rank (empty: another says it); it does not return.
  using End = std::function<void(const std::string& text)>;
  Watch(std::shared_ptr<Store> store, int rank, int world, Seconds hang, End end);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // This rank begins a step.
  void at(int64_t step) { step_ = step; }

 private:
  struct Seen {
    std::string text, host, step;
    Deadline heard;
  };
  void run();
  void tell();
  void look();
  bool is_told_to_end();
  std::string table(int culprit, const std::string& why) const;

  std::shared_ptr<Store> store_;
  int rank_, world_;
  Seconds hang_;
  End end_;
  std::atomic<int64_t> step_{0};
  std::atomic<bool> stop_{false};
  int64_t words_ = 0;
  std::map<int, Seen> seen_;
  Deadline moved_;  // when a rank last began a step
  std::thread thread_;
};

}  // namespace lethe
