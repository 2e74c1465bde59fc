#include "engine/checkpoint_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "engine/checkpoint_files.h"
#include "engine/files/session_tensor.h"
#include "engine/log.h"

namespace lethe {
namespace {

namespace files = checkpoint_files;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t bytes_of(const PersistentInfo& p) {
  return elements_of(p.shape) * size_of(p.dtype);
}

std::string message_of(const std::exception_ptr& failure) {
  if (!failure) return "";
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace

std::vector<int> writers_of(const State& state, const std::vector<int32_t>& tensors, int world) {
  std::vector<int> writers(tensors.size());
  std::vector<int64_t> written(static_cast<size_t>(world));
  std::vector<size_t> free;  // to be dealt out
  for (size_t i = 0; i < tensors.size(); ++i) {
    const PersistentInfo& p = state[tensors[i]];
    writers[i] = std::max(p.owner, 0);
    if (p.owner < 0) {
      free.push_back(i);
    } else {
      written[static_cast<size_t>(p.owner)] += bytes_of(p);
    }
  }
  std::ranges::stable_sort(
      free, [&](size_t a, size_t b) { return bytes_of(state[tensors[a]]) > bytes_of(state[tensors[b]]); });
  for (const size_t i : free) {
    const auto least = std::ranges::min_element(written);
    writers[i] = static_cast<int>(least - written.begin());
    *least += bytes_of(state[tensors[i]]);
  }
  return writers;
}

std::vector<int32_t> written_by(const State& state, const std::vector<int32_t>& tensors, int rank,
                                int world) {
  const std::vector<int> writers = writers_of(state, tensors, world);
  std::vector<int32_t> own;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (writers[i] == rank) own.push_back(tensors[i]);
  }
  return own;
}

CheckpointWriter::CheckpointWriter(const Session& session, std::vector<int32_t> tensors, Options options,
                                   Comm* comm)
    : session_(session), options_(std::move(options)), comm_(comm) {
  for (const int32_t t : tensors) all_bytes_ += bytes_of(session.state()[t]);
  own_ = written_by(session.state(), tensors, rank(), world());
  if (options_.beside_training) snapshot_ = std::make_unique<Snapshot>(session, own_);
}

CheckpointWriter::~CheckpointWriter() {
  given_up_ = true;
  join();
}

void CheckpointWriter::join() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::start(const std::function<void()>& work) {
  done_ = false;
  failure_ = nullptr;
  const auto run = [this, work] {
    const auto begun = Clock::now();
    try {
      work();
    } catch (...) {
      failure_ = std::current_exception();
    }
    times_.write_seconds += seconds_since(begun);
    done_ = true;
  };
  join();
  if (snapshot_) {
    thread_ = std::thread(run);
  } else {
    run();
  }
}

// The tensors as they are copied, or on the device where nothing goes on meanwhile.
void CheckpointWriter::write_own() {
  std::vector<TensorToWrite> list;
  if (snapshot_) {
    const auto begun = Clock::now();
    snapshot_->wait();
    times_.copy_seconds = seconds_since(begun);
    times_.write_seconds -= times_.copy_seconds;
    list = snapshot_->tensors();
  } else {
    for (const int32_t t : own_) list.push_back(session_tensor(session_, t, session_.state()[t].name));
  }
  for (TensorToWrite& t : list) {
    t.fill = [this, fill = std::move(t.fill)](int64_t first, int64_t count, std::byte* out) {
      if (given_up_) throw RunError("given up");
      fill(first, count, out);
    };
  }
  const std::string folder = files::partial_path(options_.folder, step_);
  write_safetensors(folder + "/" + files::tensors_name(rank(), world()), list);
}

void CheckpointWriter::commit() {
  files::commit(options_.folder, step_, world(), options_.keep);
}

void CheckpointWriter::share(std::exception_ptr failure) {
  if (world() == 1) {
    if (failure) std::rethrow_exception(failure);
    return;
  }
  const std::vector<std::string> all = gather_texts(*comm_, message_of(failure));
  for (int r = 0; r < world(); ++r) {
    const std::string& text = all[static_cast<size_t>(r)];
    if (!text.empty()) throw RunError(fmt::format("rank {} of {}: {}", r, world(), text));
  }
}

// False if the step's checkpoint is there already.
bool CheckpointWriter::begin(const std::string& state_json) {
  int64_t is_there = 0;
  std::exception_ptr failure;
  if (rank() == 0) {
    try {
      is_there = files::is_complete(files::path(options_.folder, step_)) ? 1 : 0;
      if (!is_there) files::begin(options_.folder, step_, state_json);
    } catch (const std::exception&) {
      failure = std::current_exception();
      files::discard(options_.folder, step_);
    }
  }
  share(failure);
  if (comm_) comm_->broadcast(&is_there, sizeof is_there, 0);
  return is_there == 0;
}

void CheckpointWriter::save(int64_t step, const std::string& state_json) {
  const auto begun = Clock::now();
  if (in_flight()) {
    log::info(fmt::format("step {}: waiting for the checkpoint of step {}, which is still being written",
                          step, step_));
    finish();
  }
  settle();
  step_ = step;
  if (!begin(state_json)) return;
  times_ = {.step = step, .bytes = all_bytes_};
  phase_ = Phase::writing;
  std::exception_ptr failure;
  if (snapshot_) {
    try {
      snapshot_->take();
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
  }
  start([this, failure] {
    if (failure) std::rethrow_exception(failure);
    write_own();
    if (world() == 1) commit();
  });
  if (!snapshot_) finish();
  times_.stall_seconds = seconds_since(begun);
}

void CheckpointWriter::poll() {
  if (in_flight()) advance();
}

void CheckpointWriter::finish() {
  while (in_flight()) {
    join();
    advance();
  }
}

void CheckpointWriter::advance() {
  const bool done = done_;
  const std::exception_ptr failure = done ? failure_ : nullptr;
  int64_t counts[2] = {done ? 1 : 0, failure ? 1 : 0};
  if (comm_) comm_->all_reduce(counts, DType::i64, 2);
  if (counts[1] > 0) {
    given_up_ = true;
    join();
    given_up_ = false;
    phase_ = Phase::idle;
    try {
      share(failure);
    } catch (const std::exception&) {  // by now no rank writes any more
      if (rank() == 0) files::discard(options_.folder, step_);
      throw;
    }
  }
  const bool commits = phase_ == Phase::committing || world() == 1;
  if (counts[0] < (commits ? 1 : world())) return;
  join();
  if (commits) {
    phase_ = Phase::idle;
    unsettled_ = true;
    return;
  }
  phase_ = Phase::committing;
  done_ = false;
  if (rank() == 0) start([this] { commit(); });
}

void CheckpointWriter::settle() {
  if (!unsettled_ || in_flight()) return;
  const std::optional<double> held = held_seconds();
  if (!held) return;
  times_.stall_seconds += *held;
  written_.push_back(times_);
  unsettled_ = false;
}

std::optional<CheckpointTimes> CheckpointWriter::take_times() {
  settle();
  if (written_.empty()) return std::nullopt;
  const CheckpointTimes times = written_.front();
  written_.erase(written_.begin());
  return times;
}

}  // namespace lethe
