// x_i[owner] = sum over ranks r of x_i[r];   x_i[r] = x_i[owner].
#include "engine/ops/by_owner.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/comm/span_sequence.h"
#include "engine/ops/element_sequence.h"

namespace lethe::ops {
namespace {

constexpr int64_t kBytesAtOnce = 4 << 20;
constexpr int64_t kDeviceBytesAtOnce = 64 << 20;  // of the others' copies
enum class Direction { to_owners, from_owners };

class ByOwner final : public Op {
 public:
  // owners: of the inputs and then of the outputs. Inputs are what this rank sends and keeps.
  ByOwner(Direction direction, std::vector<int> owners, std::shared_ptr<Comm> comm)
      : direction_(direction), owners_(std::move(owners)), comm_(std::move(comm)) {}
  std::string_view name() const override {
    return direction_ == Direction::to_owners ? "reduce_to_owners" : "gather_from_owners";
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    if (device.kind != DeviceKind::cpu) return device_workspace(node, tape);
    int64_t elements = 0, size = 1;
    each_tensor(node, [&](size_t, Var v) {
      elements += tape.info(v).elements();
      size = size_of(tape.info(v).dtype);
    });
    return std::min(elements, at_once(size) * comm_->world()) * size;
  }

  // To owners: a rank sends what others own, and is sent N - 1 copies of what it owns itself. From owners the
  // other way round. The rank that owns most of the node's tensors is the busiest.
  Traffic traffic(const Node& node, const Tape& tape) const override {
    const auto world = static_cast<int64_t>(comm_->world());
    std::vector<int64_t> owned(static_cast<size_t>(world));
    each_tensor(node, [&](size_t owner, Var v) {
      owned[owner] += tape.info(v).elements() * size_of(tape.info(v).dtype);
    });
    const int64_t all = std::accumulate(owned.begin(), owned.end(), int64_t{0});
    const int64_t mine = owned[static_cast<size_t>(comm_->rank())];
    Traffic t;
    t.sent = direction_ == Direction::to_owners ? all - mine : mine * (world - 1);
    for (const int64_t o : owned) t.busiest = std::max({t.busiest, all - o, o * (world - 1)});
    return t;
  }

  // A piece of what each rank owns at a time, the pieces one behind the other.
  void run(const CpuLaunch& launch) const override {
    const auto ranks = static_cast<size_t>(comm_->world()), me = static_cast<size_t>(comm_->rank());
    auto* const packed = static_cast<std::byte*>(launch.workspace);
    std::vector<ElementSequence> from(ranks), to(ranks);
    std::vector<int64_t> left(ranks);
    DType dtype = DType::f32;
    each_buffer(launch, [&](size_t owner, const Buffer& x) {
      from[owner].add(x);
      to[owner].add(x);
      left[owner] += x.rows * x.width;
      dtype = x.dtype;
    });
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
        for (size_t r = 0; r < ranks; ++r) {
          if (r != me) to[r].write(places[r], slices[r]);
        }
      }
    }
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const int world = comm_->world(), me = comm_->rank();
    if (world == 1) return;
    std::vector<SpanSequence> owned(static_cast<size_t>(world));
    DType dtype = DType::f32;
    each_buffer(launch, [&](size_t owner, const Buffer& x) {
      owned[owner].add(x);
      dtype = x.dtype;
    });
    const SpanSequence& mine = owned[static_cast<size_t>(me)];
    if (direction_ == Direction::from_owners) {
      std::vector<DeviceComm::Piece> sent, received;
      for (int r = 0; r < world; ++r) {
        if (r == me) continue;
        const SpanSequence& theirs = owned[static_cast<size_t>(r)];
        add_pieces(sent, r, mine.cut(0, mine.bytes()));
        add_pieces(received, r, theirs.cut(0, theirs.bytes()));
      }
      return launch.comm->exchange(sent, received, launch.stream);
    }
    const int64_t most = std::ranges::max_element(owned, {}, &SpanSequence::bytes)->bytes();
    for (int64_t done = 0; done < most; done += bytes_at_once()) {
      std::vector<std::vector<SpanSequence::Span>> pieces;
      for (const SpanSequence& s : owned) pieces.push_back(s.cut(done, bytes_at_once()));
      sum_over_ranks(*launch.comm, me, dtype, pieces[static_cast<size_t>(me)], pieces, launch.workspace,
                     launch.stream);
    }
  }
#endif

 private:
  int64_t at_once(int64_t size) const {
    return std::max<int64_t>(1, kBytesAtOnce / size / comm_->world());
  }
  int64_t bytes_at_once() const {
    return std::max<int64_t>(16, kDeviceBytesAtOnce / std::max(1, comm_->world() - 1) / 16 * 16);
  }
  // The others' copies of a piece.
  int64_t device_workspace(const Node& node, const Tape& tape) const {
    if (direction_ == Direction::from_owners) return 0;
    int64_t mine = 0;
    each_tensor(node, [&](size_t owner, Var v) {
      if (static_cast<int>(owner) == comm_->rank()) mine += tape.info(v).bytes() + 15;
    });
    return std::min(mine, bytes_at_once()) * (comm_->world() - 1);
  }

  template <class Body>
  void each_tensor(const Node& node, const Body& body) const {
    size_t i = 0;
    for (const Var v : node.inputs) body(static_cast<size_t>(owners_[i++]), v);
    for (const Output& o : node.outputs) body(static_cast<size_t>(owners_[i++]), o.var);
  }
  template <class Body>
  void each_buffer(const Launch& launch, const Body& body) const {
    size_t i = 0;
    for (const Buffer& b : launch.in) body(static_cast<size_t>(owners_[i++]), b);
    for (const Buffer& b : launch.out) body(static_cast<size_t>(owners_[i++]), b);
  }

  Direction direction_;
  std::vector<int> owners_;
  std::shared_ptr<Comm> comm_;
};

// What a node of one dtype holds.
struct Group {
  DType dtype;
  std::vector<Var> inputs;
  std::vector<Output> outputs;
  std::vector<int> input_owners, output_owners;
};

Group& group_of(std::vector<Group>& groups, DType dtype) {
  auto group = std::ranges::find(groups, dtype, &Group::dtype);
  if (group == groups.end()) group = groups.insert(group, {dtype, {}, {}, {}, {}});
  return *group;
}

void append(Tape& tape, Direction direction, std::vector<Group> groups, const std::shared_ptr<Comm>& comm,
            const std::string& name) {
  for (Group& g : groups) {
    std::vector<int> owners = std::move(g.input_owners);
    owners.insert(owners.end(), g.output_owners.begin(), g.output_owners.end());
    tape.append(std::make_shared<ByOwner>(direction, std::move(owners), comm), std::move(g.inputs),
                std::move(g.outputs), name)
        .stream = 1;
  }
}

void check(const Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
           const Comm& comm, const std::string& name) {
  if (tensors.size() == owners.size() &&
      std::ranges::all_of(owners, [&](int o) { return o >= 0 && o < comm.world(); }))
    return;
  throw ShapeError(tape.path(name), fmt::format("{} tensors and {} owners among {} ranks", tensors.size(),
                                                owners.size(), comm.world()));
}

void append_in_place(Tape& tape, Direction direction, const std::vector<Var>& tensors,
                     const std::vector<int>& owners, const std::shared_ptr<Comm>& comm,
                     const std::string& name) {
  check(tape, tensors, owners, *comm, name);
  std::vector<Group> groups;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& t = tape.info(tensors[i]);
    if (direction == Direction::to_owners && !is_float(t.dtype) && t.dtype != DType::i64)
      throw ShapeError(tape.path(name), fmt::format("{} of {} cannot be summed", t.path, name_of(t.dtype)));
    Group& group = group_of(groups, t.dtype);
    group.outputs.push_back({tensors[i], Access::update});
    group.output_owners.push_back(owners[i]);
  }
  append(tape, direction, std::move(groups), comm, name);
}

}  // namespace

void reduce_to_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                      const std::shared_ptr<Comm>& comm, const std::string& name) {
  append_in_place(tape, Direction::to_owners, tensors, owners, comm, name);
}

void gather_from_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                        const std::shared_ptr<Comm>& comm, const std::string& name) {
  append_in_place(tape, Direction::from_owners, tensors, owners, comm, name);
}

void borrow_from_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                        const std::shared_ptr<Comm>& comm, const std::string& name) {
  check(tape, tensors, owners, *comm, name);
  std::vector<Group> groups;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Group& group = group_of(groups, tape.info(tensors[i]).dtype);
    if (owners[i] == comm->rank()) {
      group.inputs.push_back(tensors[i]);
      group.input_owners.push_back(owners[i]);
    } else {
      group.outputs.push_back({tensors[i], Access::overwrite});
      group.output_owners.push_back(owners[i]);
    }
  }
  append(tape, Direction::from_owners, std::move(groups), comm, name);
}

}  // namespace lethe::ops
