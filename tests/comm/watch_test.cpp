// Who is said to be lost, among watches of one process.
#include "engine/comm/watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>

#include "engine/ops/all_reduce.h"
#include "engine/ops/fill.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

constexpr Seconds kPatience(10), kHang(1), kNever(0);

struct Stores {
  std::shared_ptr<Store> first, second;
  Stores() {
    StorePlace place{.hosts = {"127.0.0.1"}, .first_port = 0, .ports = 1, .token = "t"};
    first = Store::serve(place, kPatience);
    place.first_port = first->port();
    second = Store::join(place, 1, kPatience);
  }
};

// What a watch says and how it would end the process.
struct Told {
  std::promise<int> promise;
  std::future<int> status = promise.get_future();
  std::string said;
  std::atomic<bool> told{false};
  Watch::Calls calls() {
    return {.say = [this](const std::string& text) { said += text; },
            .end =
                [this](int with) {
                  if (!told.exchange(true)) promise.set_value(with);
                }};
  }
  bool in_time() const { return status.wait_for(std::chrono::seconds(5)) == std::future_status::ready; }
};

State& state_of_none() {
  static State state;
  return state;
}

// In a program of two nodes, of which the second is a sum.
std::shared_ptr<Position> position_at(size_t node) {
  State state;
  Tape tape(state, "step");
  const Var x = tape.tensor({3}, DType::f32, "x");
  ops::fill(tape, x, 1);
  ops::all_reduce(tape, {x}, std::shared_ptr<Comm>(make_self_comm()), "gradients");
  auto position = std::make_shared<Position>();
  position->begin(std::make_shared<Position::Program>(tape, false));
  position->at(node);
  return position;
}

// A rank that is heard and goes on.
class Steps {
 public:
  explicit Steps(Watch& watch)
      : thread_([this, &watch] {
          for (int64_t step = 1; !stop_; ++step) {
            watch.at(step);
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}
  ~Steps() {
    stop_ = true;
    thread_.join();
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST(Position, NamesTheNodeAndTheProgramThatIsBehind) {
  EXPECT_EQ(Position().place().text, "");
  const auto position = position_at(0);
  EXPECT_TRUE(position->place().text.starts_with("step, node 1 of 2: ")) << position->place().text;
  EXPECT_FALSE(position->place().in_sum);
  position->at(1);
  EXPECT_EQ(position->place().text, "step, node 2 of 2: gradients (all_reduce)");
  EXPECT_TRUE(position->place().in_sum);
  position->end();
  EXPECT_EQ(position->place().text, "behind step");
  EXPECT_FALSE(position->place().in_sum);
  position->between("asks", true);
  EXPECT_EQ(position->place().text, "behind step: asks");
  EXPECT_TRUE(position->place().in_sum);
  position->begin(std::make_shared<Position::Program>(Tape(state_of_none(), "next"), false));
  EXPECT_EQ(position->place().text, "behind next");
  EXPECT_FALSE(position->place().in_sum);
}

TEST(Watch, EndsAllWhenNobodyBeginsAStepAndNamesEachNodeAndWhoIsWaitedFor) {
  const Stores stores;
  Told first, second;
  Watch zero(stores.first, 0, 2, kHang, position_at(1), first.calls()),
      one(stores.second, 1, 2, kHang, position_at(0), second.calls());
  zero.at(3);
  one.at(2);
  ASSERT_TRUE(first.in_time() && second.in_time());
  expect_parts(first.said,
               {"rank", "step", "host", "node", "\n     0  3", "step, node 2 of 2: gradients (all_reduce)",
                "\n     1  2", "step, node 1 of 2: "});
  EXPECT_TRUE(first.said.ends_with("no rank began a step for 1 s; the others wait for rank 1")) << first.said;
  EXPECT_EQ(second.said, "");
  EXPECT_EQ(first.status.get(), kRankLost);
  EXPECT_EQ(second.status.get(), kRankLost);
}

TEST(Watch, NamesTheRankThatIsNotHeard) {
  const Stores stores;
  Told first;
  Watch zero(stores.first, 0, 2, kHang, nullptr, first.calls());
  stores.second->set("watch/1", "1 5 node7 0 0.5 step, node 7 of 9: norm (rmsnorm)");
  const Steps steps(zero);
  ASSERT_TRUE(first.in_time());
  expect_parts(first.said, {"   1  5", "node7", "step, node 7 of 9: norm (rmsnorm)",
                            "rank 1 of 2 has said nothing for 1."});
}

TEST(Watch, NamesTheRankThatDiedWithoutAnyLimit) {
  const Stores stores;
  Told first;
  const Watch zero(stores.first, 0, 2, kNever, nullptr, first.calls());
  stores.first->set(Store::lost_key(1), "1");
  ASSERT_TRUE(first.in_time());
  EXPECT_TRUE(first.said.ends_with("rank 1 of 2 died")) << first.said;
}

// Rank 0 notices first that rank 1's connection is gone.
TEST(Watch, SaysLastWhatTheRankSaidThatFailedFirst) {
  const Stores stores;
  Told first, second;
  Watch zero(stores.first, 0, 2, kNever, nullptr, first.calls()),
      one(stores.second, 1, 2, kNever, nullptr, second.calls());
  zero.fail({.text = "rank 1: closed the connection", .status = 1, .consequence = true}, Seconds(0.05));
  one.fail({.text = "step 3: the disk\nis full", .status = 2}, Seconds(0.05));
  ASSERT_TRUE(first.in_time() && second.in_time());
  EXPECT_TRUE(first.said.ends_with("\nrank 1 of 2: step 3: the disk\nis full")) << first.said;
  EXPECT_EQ(second.said, "");
  EXPECT_EQ(first.status.get(), 2);
  EXPECT_EQ(second.status.get(), 2);
}

TEST(Watch, SaysOfOneThatOnlyLostAnotherWhoDied) {
  const Stores stores;
  Told first;
  Watch zero(stores.first, 0, 2, kNever, nullptr, first.calls());
  zero.fail({.text = "rank 1: closed the connection", .status = 1, .consequence = true}, Seconds(0.05));
  stores.first->set(Store::lost_key(1), "1");
  ASSERT_TRUE(first.in_time());
  EXPECT_TRUE(first.said.ends_with("rank 1 of 2 died")) << first.said;
  EXPECT_EQ(first.status.get(), kRankLost);
}

TEST(Watch, SaysWhatFollowedWhereNoCauseComesToLight) {
  const Stores stores;
  Told first;
  Watch zero(stores.first, 0, 2, kNever, nullptr, first.calls());
  zero.fail({.text = "MPI_Waitall: truncated", .status = 1, .consequence = true}, Seconds(0.05));
  ASSERT_TRUE(first.in_time());
  EXPECT_TRUE(first.said.ends_with("rank 0 of 2: MPI_Waitall: truncated")) << first.said;
  EXPECT_EQ(first.status.get(), 1);
}

TEST(Watch, MarksTheSlowestRankWhereItIsNotablySlower) {
  const Stores stores;
  Told first;
  Watch zero(stores.first, 0, 4, kNever, nullptr, first.calls());
  const auto slowest_of = [&](const std::vector<double>& others) {
    for (size_t r = 0; r < others.size(); ++r) {
      stores.second->set("watch/" + std::to_string(r + 1),
                         fmt::format("1 5 node7 0 {} behind step", others[r]));
    }
    std::this_thread::sleep_for(Seconds(0.25));  // two looks
    return zero.slowest();
  };
  EXPECT_FALSE(slowest_of({2, 2, 2})) << "of one rank nothing is known";
  zero.worked(2);
  EXPECT_FALSE(slowest_of({2, 2.09, 2}));
  EXPECT_FALSE(slowest_of({2.2, 2.2, 2.1})) << "half of the others are nearly as slow";
  const auto found = slowest_of({2, 3, 1});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rank, 2);
  EXPECT_DOUBLE_EQ(found->longer, 0.5);
  zero.worked(32);  // one step among many: a tenth of it counts
  const auto now = slowest_of({2, 3, 1});
  ASSERT_TRUE(now);
  EXPECT_EQ(now->rank, 0);
  EXPECT_DOUBLE_EQ(now->longer, 1.5);
}

TEST(Watch, SaysNothingOfRanksThatAreDone) {
  const Stores stores;
  Told first, second;
  Watch zero(stores.first, 0, 2, Seconds(0.5), nullptr, first.calls());
  { const Watch one(stores.second, 1, 2, Seconds(0.5), nullptr, second.calls()); }
  {
    const Steps steps(zero);
    std::this_thread::sleep_for(Seconds(1));
  }
  EXPECT_FALSE(first.told);
}

}  // namespace
}  // namespace lethe::test
