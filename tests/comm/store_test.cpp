// A store among threads that play the ranks; over processes it is tested by what is built on it.
#include "engine/comm/store.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine/error.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

constexpr Seconds kPatience(10), kSoon(0.2);

struct Two {
  std::unique_ptr<Store> first, second;
  StorePlace place{.hosts = {"127.0.0.1"}, .first_port = 0, .ports = 1, .token = "t"};
  Two() {
    first = Store::serve(place, kPatience);
    place.first_port = first->port();
    second = Store::join(place, 1, kPatience);
  }
};

TEST(Store, TellsEveryoneWhatOneSet) {
  const Two two;
  EXPECT_EQ(two.second->get("key"), std::nullopt);
  const std::string bytes("a\0b\n", 4), large(3 << 20, 'x');
  two.first->set("key", bytes);
  two.second->set("large", large);
  two.second->set("", "");
  EXPECT_EQ(two.second->get("key"), bytes);
  EXPECT_EQ(two.first->get("large"), large);
  EXPECT_EQ(two.first->get(""), "");
  two.second->set("key", "new");
  EXPECT_EQ(two.first->wait("key", kSoon), "new");
}

TEST(Store, WaitsUntilAKeyIsSetOrTimeIsUp) {
  const Two two;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    two.first->set("late", "here");
  });
  EXPECT_EQ(two.second->wait("late", kPatience), "here");
  later.join();
  expect_parts(message_of<CommError>([&] { two.second->wait("never", kSoon); }), {"never", "0.2 s"});
}

TEST(Store, OfAnotherRunIsNotJoined) {
  Two two;
  two.place.token += "u";
  expect_parts(message_of<CommError>([&] { Store::join(two.place, 1, kSoon); }), {"rank 1", "127.0.0.1"});
}

TEST(Store, WhosePortIsTakenServesAtTheNext) {
  const Two two;
  StorePlace place = two.place;
  place.token += "other run";
  place.ports = 16;
  const auto first = Store::serve(place, kPatience);
  EXPECT_GT(first->port(), two.first->port());
  const auto second = Store::join(place, 1, kPatience);
  first->set("whose", "other");
  EXPECT_EQ(second->get("whose"), "other");
  EXPECT_EQ(two.second->get("whose"), std::nullopt);
}

TEST(Store, KnowsWhoWentWithoutAFarewell) {
  Two two;
  two.second.reset();
  const auto leaving = Store::join(two.place, 3, kPatience);
  {
    // A process that dies says nothing: what it had open is closed.
    const Socket dying = connect_to("127.0.0.1", two.place.first_port, deadline_after(kPatience));
    const std::string hello = std::string("h\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0t2", 19);
    dying.send_all(hello.data(), hello.size(), deadline_after(kPatience), "the store");
    char answer = 0;
    dying.receive_all(&answer, 1, deadline_after(kPatience), "the store");
    EXPECT_EQ(answer, 1);
  }
  EXPECT_EQ(two.first->wait(Store::lost_key(2), kPatience), "1");
  EXPECT_EQ(two.first->get(Store::lost_key(1)), std::nullopt);
  EXPECT_EQ(two.first->get(Store::lost_key(3)), std::nullopt);
}

TEST(Store, WhoseServerIsGoneIsAnErrorAtOnce) {
  Two two;
  two.first.reset();
  EXPECT_THROW(two.second->set("key", "x"), CommError);
  EXPECT_THROW(two.second->get("key"), CommError);
}

TEST(Store, DropsWhoSpeaksNonsense) {
  const Two two;
  for (const std::string& text : {std::string(100, '\xff'), std::string("g") + std::string(16, '\0'),
                                  std::string("h\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0tx", 19)}) {
    const Socket stranger = connect_to("127.0.0.1", two.place.first_port, deadline_after(kPatience));
    stranger.send_all(text.data(), text.size(), deadline_after(kPatience), "the store");
    char answer = 0;
    EXPECT_THROW(stranger.receive_all(&answer, 1, deadline_after(kPatience), "the store"), CommError);
  }
  two.first->set("still", "here");
  EXPECT_EQ(two.second->get("still"), "here");
}

}  // namespace
}  // namespace lethe::test
