// What a plan says that a rank sends, beside what it does send.
#include <gtest/gtest.h>

#include "tests/distributed/shared.h"
#include "tests/run/small_run.h"
#include "tools/run/training_run.h"

namespace lethe::test {
namespace {

// The ranks, counting.
class Counted final : public Comm {
 public:
  explicit Counted(Comm& real) : Comm(real.rank(), real.world()), real_(real) {}
  void broadcast(void* data, int64_t bytes, int root) override { real_.broadcast(data, bytes, root); }
  void barrier() override { real_.barrier(); }
  void end_all(int status) override { real_.end_all(status); }
  void exchange(std::span<const Sent> to_others, std::span<const Received> received) override {
    for (const Sent& s : to_others) sent += s.bytes;
    real_.exchange(to_others, received);
  }
  int64_t sent = 0;

 private:
  Comm& real_;
};

class Sent : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Sent, InAProgramIsWhatItsNodesSay) {
  const auto [sharding, method] = GetParam();
  const Folder folder;
  const auto comm = std::make_shared<Counted>(ranks());
  TrainOptions options =
      small_options(folder.path(), {"train.batch_size=8", "train.micro_batch_size=1",
                                    "distributed.bucket_mb=0", "lora.rank=3", std::string("method=") + method,
                                    std::string("distributed.sharding=") + sharding});
  options.output.clear();
  TrainingRun run(prepare_run(options, comm));
  int64_t all = 0;
  for (size_t p = 0; p < run.session().plan().programs.size(); ++p) {
    const Tape& tape = run.session().program(p);
    int64_t expected = 0, sums = 0;
    for (const Node& node : tape.nodes()) {
      const Traffic t = node.op->traffic(node, tape);
      EXPECT_GE(t.busiest, t.sent) << node.path;
      expected += t.sent;
      sums += node.op->name() == "all_reduce" ? 1 : 0;
    }
    comm->sent = 0;
    run.session().run(p);
    // The slices of an all_reduce are even but for an element, which is sent N - 1 times, of 8 bytes at most.
    EXPECT_LE(std::abs(comm->sent - expected), sums * 8 * (ranks().world() - 1)) << tape.name();
    all += expected;
  }
  EXPECT_EQ(all > 0, ranks().world() > 1);
}

INSTANTIATE_TEST_SUITE_P(All, Sent,
                         testing::Combine(testing::Values("none", "zero1", "zero2", "zero3"),
                                          testing::Values("full", "lora")));

}  // namespace
}  // namespace lethe::test
