// The threads that share a kernel's pieces. Nobody waits for a thread that has not begun: the caller takes
// pieces as the others do, and at the end waits only for pieces that someone is computing. So a machine busy
// with other work costs a kernel little, where a barrier of all threads costs it a time slice every time; and
// a piece of work that is over before a sleeping thread wakes is simply done by the caller.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace lethe::kernels::cpu {

class Team {
 public:
  // The caller and `threads` - 1 threads of its own, which sleep when there is nothing to do. Below 1 counts
  // as 1.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls task(context, piece, worker) once for every piece in [0, count), worker in [0, size()) being the
  // thread's number; returns when all are done. One caller at a time; the task must not throw, nor call run.
  using Task = void (*)(const void* context, int64_t piece, int worker);
  void run(int64_t count, Task task, const void* context);

  // The team that parallel_pieces shares this thread's work with while the object lives; without one, the
  // thread does it all. It is the thread's as OpenMP's would be, so that kernels need no argument for it.
  class Use {
   public:
    explicit Use(Team& team);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Team* outer_;
  };
  static Team* current();

 private:
  bool take_piece(int worker);
  void work(int worker);

  // The job. Written while no piece is unfinished, read by whoever has taken one.
  Task task_ = nullptr;
  const void* context_ = nullptr;
  int64_t count_ = 0;
  alignas(64) std::atomic<int64_t> untaken_ = 0;
  alignas(64) std::atomic<int64_t> unfinished_ = 0;
  // What threads sleep on: 32 bits, which the system can wait for directly.
  alignas(64) std::atomic<uint32_t> job_ = 0;
  alignas(64) std::atomic<uint32_t> last_finished_ = 0;  // the last job all of whose pieces are done
  std::atomic<bool> ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lethe::kernels::cpu
