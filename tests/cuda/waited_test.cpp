// What a step is said to have stood still for sums over ranks, with sums that take a known time.
#include <cuda_runtime.h>

#include <thread>

#include "engine/comm/device_comm.h"
#include "engine/ops/all_reduce.h"
#include "engine/ops/fill.h"
#include "engine/ops/join.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

constexpr auto kDelay = std::chrono::milliseconds(20);

// Rank 0 of two that are never there.
class HalfComm final : public Comm {
 public:
  HalfComm() : Comm(0, 2) {}
  void broadcast(void*, int64_t, int) override {}
  void barrier() override {}
  void end_all(int status) override { std::_Exit(status); }
  void exchange(std::span<const Sent>, std::span<const Received>) override {}
};

// Takes its time: on the stream, as NCCL does, or in the call, as what goes through the host does.
class SlowComm final : public DeviceComm {
 public:
  explicit SlowComm(bool in_graphs) : in_graphs_(in_graphs) {}
  void exchange(std::span<const Piece>, std::span<const Piece> received,
                kernels::cuda::Stream queue) override {
    auto* const stream = static_cast<cudaStream_t>(queue);
    for (const Piece& p : received) cudaMemsetAsync(p.data, 0, static_cast<size_t>(p.bytes), stream);
    if (received.empty()) return;
    if (in_graphs_) {
      cudaLaunchHostFunc(
          stream, [](void*) { std::this_thread::sleep_for(kDelay); }, nullptr);
    } else {
      cudaStreamSynchronize(stream);
      std::this_thread::sleep_for(kDelay);
    }
  }
  bool in_graphs() const override { return in_graphs_; }

 private:
  bool in_graphs_;
};

double waited_seconds(Backend& backend) {
  const DeviceRange range = backend.waited();
  const auto read = backend.queue_read(std::span(&range, 1));
  read->wait();
  return 1e-9 * static_cast<double>(read->value<int64_t>(0));
}

TEST(CudaWaited, CountsEachSumInAGraphAndOutsideAndThroughTheHost) {
  LETHE_NEEDS_GPU();
  struct Case {
    bool in_graphs, graph;
  };
  for (const Case c : {Case{true, true}, Case{true, false}, Case{false, true}}) {
    auto state = std::make_unique<State>();
    state->declare({.name = "x", .dtype = DType::f32, .shape = {64, 5}});
    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::make_unique<Tape>(*state, "step"));
    Tape& tape = *tapes[0];
    const Var x = tape.persistent("x");
    ops::fill(tape, x, 1);
    ops::all_reduce(tape, {x}, std::make_shared<HalfComm>());
    ops::join(tape, {x});
    Session session(std::move(state), std::move(tapes),
                    make_cuda_backend({.graph = c.graph, .comm = std::make_shared<SlowComm>(c.in_graphs)}));
    EXPECT_EQ(waited_seconds(session.backend()), 0);
    double before = 0;
    for (int run = 0; run < 4; ++run) {  // plain, captured, replayed
      session.run(0);
      session.backend().wait();
      const double now = waited_seconds(session.backend());
      // A sum is two exchanges: slices come, and go.
      const double expected = 2 * std::chrono::duration<double>(kDelay).count();
      EXPECT_GT(now - before, 0.95 * expected) << c.in_graphs << c.graph << run;
      EXPECT_LT(now - before, 2 * expected) << "a machine that others use as well may take longer";
      before = now;
    }
    EXPECT_EQ(session.backend().position()->place().text, "queued step");
  }
}

TEST(CudaWaited, IsNotCountedWhereThereIsOneRank) {
  LETHE_NEEDS_GPU();
  EXPECT_EQ(make_cuda_backend()->waited().bytes, 0);
}

}  // namespace
}  // namespace lethe::test
