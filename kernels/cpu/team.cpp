#include "kernels/cpu/team.h"

#include <utility>

namespace lethe::kernels::cpu {
namespace {

// Looks this often before going to sleep, some 2 ms: longer than the pauses between a step's kernels, and
// waking costs more than most of them take.
constexpr int kLooks = 40000;

// Tells the core that this is a loop that waits.
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Until `value` is no longer `old`: looks, then sleeps.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int look = 0; look < kLooks; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

thread_local Team* team_of_thread = nullptr;

}  // namespace

Team::Team(int threads) {
  for (int worker = 1; worker < threads; ++worker) threads_.emplace_back([this, worker] { work(worker); });
}

Team::~Team() {
  ended_ = true;
  ++job_;
  job_.notify_all();
  for (std::thread& t : threads_) t.join();
}

// Taking a piece keeps the job from ending, so task, context and count are read only after that.
bool Team::take_piece(int worker) {
  int64_t untaken = untaken_.load(std::memory_order_acquire);
  do {
    if (untaken == 0) return false;
  } while (!untaken_.compare_exchange_weak(untaken, untaken - 1, std::memory_order_acq_rel,
                                           std::memory_order_acquire));
  task_(context_, count_ - untaken, worker);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    last_finished_.fetch_add(1, std::memory_order_acq_rel);
    last_finished_.notify_one();
  }
  return true;
}

void Team::work(int worker) {
  uint32_t seen = 0;
  while (!ended_.load(std::memory_order_acquire)) {
    wait_for_change(job_, seen);
    seen = job_.load(std::memory_order_acquire);
    while (take_piece(worker)) {
    }
  }
}

void Team::run(int64_t count, Task task, const void* context) {
  if (count <= 0) return;
  if (threads_.empty() || count == 1) {
    for (int64_t piece = 0; piece < count; ++piece) task(context, piece, 0);
    return;
  }
  const uint32_t finished = last_finished_.load(std::memory_order_relaxed);
  task_ = task;
  context_ = context;
  count_ = count;
  unfinished_.store(count, std::memory_order_relaxed);
  untaken_.store(count, std::memory_order_release);
  job_.fetch_add(1, std::memory_order_acq_rel);
  job_.notify_all();
  while (take_piece(0)) {
  }
  wait_for_change(last_finished_, finished);
}

Team::Use::Use(Team& team) : outer_(std::exchange(team_of_thread, &team)) {}
Team::Use::~Use() {
  team_of_thread = outer_;
}
Team* Team::current() {
  return team_of_thread;
}

}  // namespace lethe::kernels::cpu
