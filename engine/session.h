// Programs with memory behind them: one arena of exactly the planned bytes, and a backend that runs the
// nodes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/planner.h"

namespace lethe {

class Session {
 public:
  // Plans the programs over their common State and allocates the arena. The tapes must all refer to `state`.
  // Throws MemoryError before allocating when the plan exceeds budget_bytes (< 0: no budget).
  Session(std::unique_ptr<State> state, std::vector<std::unique_ptr<Tape>> programs,
          std::unique_ptr<Backend> backend, int64_t budget_bytes = -1);

  State& state() { return *state_; }
  const State& state() const { return *state_; }
  const Plan& plan() const { return plan_; }
  Backend& backend() const { return *backend_; }
  size_t program_count() const { return programs_.size(); }
  const Tape& program(size_t index) const { return *programs_[index]; }

  // Runs every node of a program in order.
  void run(size_t program);
  // Runs a program of this State that was recorded later and is not kept, such as what fills the weights.
  // Throws MemoryError if it needs more scratch memory than the session's own programs, ShapeError if it
  // declared tensors of its own.
  void run_once(const Tape& program);
  // Seconds that each node took, summed over the program's runs; empty unless the backend profiles.
  std::vector<double> node_seconds(size_t program) const { return executables_[program]->node_seconds(); }

  // A persistent tensor's memory. Throws ShapeError for one that another rank holds.
  Buffer buffer(int32_t persistent) const;
  Buffer buffer(const std::string& name) const { return buffer(state_->require(name)); }
  // A tensor of a program; its content is meaningful after a run if the tape keeps it.
  Buffer buffer(size_t program, Var var) const;

  // Copies between host values and a persistent tensor; sizes must match (ShapeError).
  template <class T>
  void set(const std::string& name, const std::vector<T>& values) {
    write_values(state_->require(name), dtype_of<T>(), values.data(), static_cast<int64_t>(values.size()));
  }
  template <class T>
  std::vector<T> get(const std::string& name) const {
    const int32_t index = state_->require(name);
    std::vector<T> values(static_cast<size_t>(elements_of((*state_)[index].shape)));
    read_values(index, dtype_of<T>(), values.data(), static_cast<int64_t>(values.size()));
    return values;
  }

 private:
  void write_values(int32_t index, DType dtype, const void* values, int64_t count);
  void read_values(int32_t index, DType dtype, void* values, int64_t count) const;
  void check_values(int32_t index, DType dtype, int64_t count) const;

  std::unique_ptr<State> state_;
  std::vector<std::unique_ptr<Tape>> programs_;
  std::unique_ptr<Backend> backend_;
  Plan plan_;
  std::shared_ptr<void> arena_;
  std::vector<std::unique_ptr<Executable>> executables_;
};

}  // namespace lethe
