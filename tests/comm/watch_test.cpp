// Who is said to be lost, among watches of one process.
#include "engine/comm/watch.h"

#include <gtest/gtest.h>

#include <future>

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

struct Told {
  std::promise<std::string> promise;
  std::future<std::string> text = promise.get_future();
  bool told = false;
  Watch::End end() {
    return [this](const std::string& said) {
      if (!std::exchange(told, true)) promise.set_value(said);
    };
  }
  bool in_time() const { return text.wait_for(std::chrono::seconds(5)) == std::future_status::ready; }
};

TEST(Watch, EndsAllWhenNobodyBeginsAStep) {
  const Stores stores;
  Told first, second;
  Watch zero(stores.first, 0, 2, kHang, first.end()), one(stores.second, 1, 2, kHang, second.end());
  zero.at(3);
  one.at(2);
  ASSERT_TRUE(first.in_time() && second.in_time());
  expect_parts(first.text.get(),
               {"rank", "step", "host", "   0  3", "   1  2", "no rank began a step for 1 s"});
  EXPECT_EQ(second.text.get(), "");
}

TEST(Watch, NamesTheRankThatIsNotHeard) {
  const Stores stores;
  Told first;
  Watch zero(stores.first, 0, 2, kHang, first.end());
  stores.second->set("watch/1", "1 5 node7");
  std::atomic<bool> stop{false};
  std::thread steps([&] {
    for (int64_t step = 1; !stop; ++step) {
      zero.at(step);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  const bool in_time = first.in_time();
  stop = true;
  steps.join();
  ASSERT_TRUE(in_time);
  expect_parts(first.text.get(), {"   1  5", "node7", "rank 1 of 2 has said nothing for 1."});
}

TEST(Watch, NamesTheRankThatDiedWithoutAnyLimit) {
  const Stores stores;
  Told first;
  const Watch zero(stores.first, 0, 2, kNever, first.end());
  stores.first->set(Store::lost_key(1), "1");
  ASSERT_TRUE(first.in_time());
  expect_parts(first.text.get(), {"rank 1 of 2 died"});
}

TEST(Watch, SaysNothingOfRanksThatAreDone) {
  const Stores stores;
  Told first, second;
  Watch zero(stores.first, 0, 2, Seconds(0.5), first.end());
  { const Watch one(stores.second, 1, 2, Seconds(0.5), second.end()); }
  for (int64_t step = 1; step < 20; ++step) {
    zero.at(step);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_FALSE(first.told);
}

}  // namespace
}  // namespace lethe::test
