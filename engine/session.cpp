#include "engine/session.h"

#include <fmt/format.h>

namespace lethe {

Session::Session(std::unique_ptr<State> state, std::vector<std::unique_ptr<Tape>> programs,
                 std::unique_ptr<Backend> backend, int64_t budget_bytes)
    : state_(std::move(state)), programs_(std::move(programs)), backend_(std::move(backend)) {
  std::vector<const Tape*> tapes;
  for (const auto& p : programs_) tapes.push_back(p.get());
  plan_ = make_plan(*state_, tapes, backend_->device(), budget_bytes);
  arena_ = backend_->allocate(plan_.arena_bytes);
  for (size_t i = 0; i < programs_.size(); ++i) {
    executables_.push_back(backend_->compile(*programs_[i], plan_.programs[i], arena_.get()));
  }
}

void Session::run(size_t program) {
  executables_[program]->run();
}

void Session::run_once(const Tape& program) {
  const Plan plan = make_plan(*state_, {&program}, backend_->device());
  if (plan.persistent_offsets != plan_.persistent_offsets) {
    throw ShapeError(program.name(), "uses tensors that were declared after the session began");
  }
  if (plan.arena_bytes > plan_.arena_bytes) {
    throw MemoryError(program.name(), fmt::format("needs an arena of {} bytes, the session's has {}",
                                                  plan.arena_bytes, plan_.arena_bytes));
  }
  const auto executable = backend_->compile(program, plan.programs[0], arena_.get());
  executable->run();
  backend_->wait();  // before the executable goes
}

Buffer Session::buffer(int32_t persistent) const {
  const PersistentInfo& p = (*state_)[persistent];
  if (p.absent) throw ShapeError(p.name, fmt::format("is held by rank {}", p.owner));
  std::byte* data =
      static_cast<std::byte*>(arena_.get()) + plan_.persistent_offsets[static_cast<size_t>(persistent)];
  return {data, p.dtype, p.rows(), p.width(), p.pitch};
}

Buffer Session::buffer(size_t program, Var var) const {
  const TensorInfo& t = programs_[program]->info(var);
  const Placement& p = plan_.programs[program].tensors[static_cast<size_t>(var.id)];
  return {static_cast<std::byte*>(arena_.get()) + p.offset, t.dtype, t.rows(), t.width(), t.pitch};
}

void Session::check_values(int32_t index, DType dtype, int64_t count) const {
  const PersistentInfo& p = (*state_)[index];
  if (p.dtype != dtype || elements_of(p.shape) != count) {
    throw ShapeError(p.name, fmt::format("holds {} {}, not {} values of {}", text_of(p.shape),
                                         name_of(p.dtype), count, name_of(dtype)));
  }
}

void Session::write_values(int32_t index, DType dtype, const void* values, int64_t count) {
  check_values(index, dtype, count);
  const Buffer b = buffer(index);
  const int64_t row = b.width * size_of(dtype);
  backend_->upload_rows(b.data, b.pitch * size_of(dtype), values, row, b.rows);
}

void Session::read_values(int32_t index, DType dtype, void* values, int64_t count) const {
  check_values(index, dtype, count);
  const Buffer b = buffer(index);
  const int64_t row = b.width * size_of(dtype);
  backend_->download_rows(values, b.data, b.pitch * size_of(dtype), row, b.rows);
}

}  // namespace lethe
