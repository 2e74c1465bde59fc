// Writes checkpoints beside training: the state is copied, then a thread writes the copy while steps go on.
// Of several ranks each writes what it alone holds and its share of what all hold, all at once.
//
// The ranks' threads tell each other nothing. Each rank's main thread asks its own, and between steps they
// count who is done (poll); when all are, the first rank's thread makes the folder the checkpoint. So nothing
// but training uses the communicator, and a failure on one rank is known to all after the same step.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/session.h"
#include "engine/snapshot.h"

namespace lethe {

struct CheckpointTimes {
  int64_t step = 0, bytes = 0;
  double stall_seconds = 0;  // in which no step could be computed
  double copy_seconds = 0;   // from save() until the copy was there; 0 where there was none
  double write_seconds = 0;  // of this rank's thread, and of the first's that ended it
};

class CheckpointWriter {
 public:
  struct Options {
    std::string folder;
    int64_t keep = 0;  // newest complete ones; 0: all
    // Whether training goes on while one is written; the same on all ranks. It takes Snapshot::bytes_of(what
    // this rank writes) of the host's memory.
    bool beside_training = false;
  };

  // tensors: State indices. comm: all ranks make the same calls in the same order; none: there is one.
  // Session and comm must outlive the writer. Throws MemoryError.
  CheckpointWriter(const Session& session, std::vector<int32_t> tensors, Options options,
                   Comm* comm = nullptr);
  // What is not written by then is given up.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Saves what the programs queued so far leave; waits for the one before. Nothing to do if that step's is
  // complete. Written on return unless beside training. Throws as poll() does.
  void save(int64_t step, const std::string& state_json);
  // To be called before each update is queued.
  void before_update() {
    if (snapshot_) snapshot_->before_update();
  }
  // Between steps: goes on with what is being written. Throws RunError on all ranks if it failed on any, in
  // one process the writer's own; older checkpoints are whole.
  void poll();
  // Returns when nothing is being written. Throws as poll() does.
  void finish();

  // Whether a checkpoint is being written, and its step; the same on all ranks.
  bool in_flight() const { return phase_ != Phase::idle; }
  int64_t step() const { return step_; }
  // Of the checkpoints written, in order, each once; not before it is known how long its copy held the
  // device.
  std::optional<CheckpointTimes> take_times();
  // What the last save() kept the device idle after it returned, as far as that is known.
  std::optional<double> held_seconds() { return snapshot_ ? snapshot_->held_seconds() : 0.0; }

 private:
  enum class Phase : uint8_t { idle, writing, committing };

  int rank() const { return comm_ ? comm_->rank() : 0; }
  int world() const { return comm_ ? comm_->world() : 1; }
  void start(const std::function<void()>& work);
  void write_own();
  void commit();
  void advance();
  void join();
  void settle();
  bool begin(const std::string& state_json);
  // Throws on all ranks what any has to tell.
  void share(std::exception_ptr failure);

  const Session& session_;
  std::vector<int32_t> own_;
  Options options_;
  Comm* comm_;
  int64_t all_bytes_ = 0;
  std::unique_ptr<Snapshot> snapshot_;
  Phase phase_ = Phase::idle;
  int64_t step_ = 0;
  CheckpointTimes times_;
  bool unsettled_ = false;  // written, and how long it held the device is not known yet
  std::vector<CheckpointTimes> written_;
  std::thread thread_;
  std::atomic<bool> done_{false}, given_up_{false};
  std::exception_ptr failure_;  // the thread's, once it is done
};

// The rank that writes each of the tensors: its owner, of weights and states alike; of those without one,
// which all hold, the largest first, each by the rank that has the fewest bytes so far.
std::vector<int> writers_of(const State& state, const std::vector<int32_t>& tensors, int world);
// The tensors that this rank writes.
std::vector<int32_t> written_by(const State& state, const std::vector<int32_t>& tensors, int rank, int world);

}  // namespace lethe
