// Notices from a thread of its own that a rank died, failed, stands still or cannot be heard, while the main
// threads wait in a collective. Ranks tell the store where they are; rank 0 reads it and decides for all.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/comm/store.h"
#include "engine/position.h"

namespace lethe {

// Exit status: another rank died or stood still.
constexpr int kRankLost = 3;

// What a rank that cannot go on has to say.
struct RankFailure {
  std::string text;
  int status = 1;            // that the run ends with
  bool consequence = false;  // of what another rank met, as far as this one knows
};

class Watch {
 public:
  // Called on the watch's thread. say: what is to be said on this rank, once at most. end: ends the process
  // with that status.
  struct Calls {
    std::function<void(const std::string& text)> say;
    std::function<void(int status)> end;
  };
  // hang: the longest time without a new step on any rank, and without a word of one; 0: no limit, and only
  // the death or failure of a rank is noticed. position: of the session's backend; may be null.
  Watch(std::shared_ptr<Store> store, int rank, int world, Seconds hang,
        std::shared_ptr<const Position> position, Calls calls);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // This rank begins a step.
  void at(int64_t step) { step_ = step; }
  // What a step took this rank but for waiting for the others. Told by one thread.
  void worked(double seconds);
  // This rank cannot go on: rank 0 says so, last of all, and ends all ranks. Returns if that has not happened
  // in time.
  void fail(const RankFailure& failure, Seconds patience);

  // Rank 0's: where each rank was when it was last heard. A header and a line for each, without a line's end.
  std::string table() const;

  // Rank 0's: the rank whose steps of late take it the longest, if that is notably longer, by kNotable, than
  // they take the others in the middle.
  static constexpr double kNotable = 0.05;
  struct Slowest {
    int rank = 0;
    double longer = 0;  // share of the time of the others' median
  };
  std::optional<Slowest> slowest() const;

 private:
  struct Seen {
    std::string text, host = "?", step = "0", node;
    bool in_sum = false, done = false;
    double work = 0;  // seconds of a step of late; 0: not known
    Deadline heard;
  };
  // What ends the run; no text: nothing does.
  struct Verdict {
    std::string text;
    int status = kRankLost;
  };
  void run();
  void tell();
  bool look();
  void hear(int rank);
  Verdict judge();
  Verdict reported_failure(bool consequence) const;
  Verdict lost_rank() const;
  Verdict standstill() const;

  std::shared_ptr<Store> store_;
  int rank_, world_;
  Seconds hang_;
  std::shared_ptr<const Position> position_;
  Calls calls_;
  std::atomic<int64_t> step_{0};
  std::atomic<double> work_{0};
  std::atomic<bool> stop_{false};
  int64_t words_ = 0;
  mutable std::mutex mutex_;  // of seen_, which the watch's thread alone changes
  std::map<int, Seen> seen_;
  Deadline moved_;                    // when a rank last began a step
  std::optional<Deadline> troubled_;  // when a rank was first found lost
  std::thread thread_;
};

}  // namespace lethe
