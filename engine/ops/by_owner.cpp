// x_i[owner] = sum over ranks r of x_i[r];   x_i[r] = x_i[owner].
#include "engine/ops/by_owner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/ops/element_sequence.h"

namespace lethe::ops {
namespace {

constexpr int64_t kBytesAtOnce = 4 << 20;
enum class Direction { to_owners, from_owners };

class ByOwner final : public Op {
 public:
  ByOwner(Direction direction, std::vector<int> owners, std::shared_ptr<Comm> comm)
      : direction_(direction), owners_(std::move(owners)), comm_(std::move(comm)) {}
  std::string_view name() const override {
    return direction_ == Direction::to_owners ? "reduce_to_owners" : "gather_from_owners";
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device&) const override {
    const int64_t size = size_of(tape.info(node.outputs[0].var).dtype);
    int64_t elements = 0;
    for (const Output& o : node.outputs) elements += tape.info(o.var).elements();
    return std::min(elements, at_once(size) * comm_->world()) * size;
  }

  // A piece of what each rank owns at a time, the pieces one behind the other.
  void run(const CpuLaunch& launch) const override {
    const DType dtype = launch.out[0].dtype;
    const auto ranks = static_cast<size_t>(comm_->world()), me = static_cast<size_t>(comm_->rank());
    auto* const packed = static_cast<std::byte*>(launch.workspace);
    std::vector<ElementSequence> from(ranks), to(ranks);
    std::vector<int64_t> left(ranks);
    for (size_t i = 0; i < launch.out.size(); ++i) {
      const auto owner = static_cast<size_t>(owners_[i]);
      from[owner].add(launch.out[i]);
      to[owner].add(launch.out[i]);
      left[owner] += launch.out[i].rows * launch.out[i].width;
    }
    while (std::ranges::any_of(left, [](int64_t n) { return n > 0; })) {
      std::vector<int64_t> slices;
      for (int64_t& n : left) {
        slices.push_back(std::min(n, at_once(size_of(dtype))));
        n -= slices.back();
      }
      std::vector<std::byte*> places{packed};
      for (const int64_t n : slices) places.push_back(places.back() + n * size_of(dtype));
      if (direction_ == Direction::to_owners) {
        for (size_t r = 0; r < ranks; ++r) from[r].read(places[r], slices[r]);
        comm_->reduce_scatter(packed, places[me], dtype, slices);
        to[me].write(places[me], slices[me]);
      } else {
        from[me].read(places[me], slices[me]);
        comm_->all_gather(places[me], packed, dtype, slices);
        for (size_t r = 0; r < ranks; ++r) to[r].write(places[r], slices[r]);
      }
    }
  }

 private:
  int64_t at_once(int64_t size) const { return std::max<int64_t>(1, kBytesAtOnce / size / comm_->world()); }

  Direction direction_;
  std::vector<int> owners_;  // by output
  std::shared_ptr<Comm> comm_;
};

void append(Tape& tape, Direction direction, const std::vector<Var>& tensors, const std::vector<int>& owners,
            const std::shared_ptr<Comm>& comm, const std::string& name) {
  if (tensors.size() != owners.size() ||
      std::ranges::any_of(owners, [&](int o) { return o < 0 || o >= comm->world(); })) {
    throw ShapeError(tape.path(name), fmt::format("{} tensors and {} owners among {} ranks", tensors.size(),
                                                  owners.size(), comm->world()));
  }
  struct Group {
    DType dtype;
    std::vector<Output> outputs;
    std::vector<int> owners;
  };
  std::vector<Group> groups;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& t = tape.info(tensors[i]);
    if (direction == Direction::to_owners && !is_float(t.dtype) && t.dtype != DType::i64)
      throw ShapeError(tape.path(name), fmt::format("{} of {} cannot be summed", t.path, name_of(t.dtype)));
    auto group = std::ranges::find(groups, t.dtype, &Group::dtype);
    if (group == groups.end()) group = groups.insert(group, {t.dtype, {}, {}});
    group->outputs.push_back({tensors[i], Access::update});
    group->owners.push_back(owners[i]);
  }
  for (Group& g : groups) {
    tape.append(std::make_shared<ByOwner>(direction, std::move(g.owners), comm), {}, std::move(g.outputs),
                name)
        .ordered = true;
  }
}

}  // namespace

void reduce_to_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                      const std::shared_ptr<Comm>& comm, const std::string& name) {
  append(tape, Direction::to_owners, tensors, owners, comm, name);
}

void gather_from_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                        const std::shared_ptr<Comm>& comm, const std::string& name) {
  append(tape, Direction::from_owners, tensors, owners, comm, name);
}

}  // namespace lethe::ops
