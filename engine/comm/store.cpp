#include "engine/comm/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <thread>

#include "engine/comm/comm.h"
#include "engine/comm/store_server.h"
#include "engine/error.h"

namespace lethe {
namespace {

Listener listen_at(const StorePlace& place) {
  const bool here = !place.hosts.empty() && std::ranges::all_of(place.hosts, is_loopback);
  for (int i = 0;; ++i) {
    try {
      return listen_on(here ? "127.0.0.1" : "", place.first_port + i);
    } catch (const CommError&) {
      if (i + 1 >= place.ports) throw;
    }
  }
}

}  // namespace

std::string random_token() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
}

Store::Store(Seconds patience) : patience_(patience) {}

std::unique_ptr<Store> Store::serve(const StorePlace& place, Seconds patience) {
  std::unique_ptr<Store> store(new Store(patience));
  store->server_ = std::make_unique<StoreServer>(listen_at(place), place.token);
  if (!store->try_to_join("127.0.0.1", store->server_->port(), place.token, 0))
    throw CommError("store", "does not answer its own rank");
  return store;
}

std::unique_ptr<Store> Store::join(const StorePlace& place, int rank, Seconds patience) {
  std::unique_ptr<Store> store(new Store(patience));
  const Deadline deadline = deadline_after(patience);
  do {
    for (const std::string& host : place.hosts) {
      for (int i = 0; i < place.ports; ++i) {
        if (store->try_to_join(host, place.first_port + i, place.token, rank)) return store;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (std::chrono::steady_clock::now() < deadline);
  throw CommError("store", fmt::format("rank {} found no rank 0 of this run at {}, ports {} to {}, in {:g} s",
                                       rank, fmt::join(place.hosts, " or "), place.first_port,
                                       place.first_port + place.ports - 1, patience.count()));
}

std::unique_ptr<Store> Store::open(Comm& comm, Seconds patience) {
  const std::vector<std::string> names = gather_texts(comm, host_name());
  const bool alone = std::ranges::all_of(names, [&](const std::string& n) { return n == names[0]; });
  StorePlace place;
  std::unique_ptr<Store> store;
  std::string told;
  if (comm.rank() == 0) {
    place.token = random_token();
    if (alone) place.hosts = {"127.0.0.1"};
    store = serve(place, patience);
    told = fmt::format("{} {}", place.token, store->port());
    for (const std::string& a : alone ? place.hosts : own_addresses()) told += " " + a;
  }
  std::istringstream text(gather_texts(comm, told)[0]);
  if (store) return store;
  text >> place.token >> place.first_port;
  for (std::string host; text >> host;) place.hosts.push_back(host);
  return join(place, comm.rank(), patience);
}

Store::~Store() {
  try {
    if (socket_.open()) ask('b', "", "");
  } catch (const CommError&) {
    // Rank 0 has gone first.
  }
}

bool Store::try_to_join(const std::string& host, int port, const std::string& token, int rank) {
  try {
    const Deadline soon = deadline_after(std::min(patience_, Seconds(2)));
    socket_ = connect_to(host, port, soon);
    peer_ = fmt::format("the store at {}:{}", host, port);
    port_ = port;
    const std::string hello = store_request('h', token, std::to_string(rank));
    socket_.send_all(hello.data(), hello.size(), soon, peer_);
    std::string answer(kStoreAnswerBytes, '\0');
    socket_.receive_all(answer.data(), answer.size(), soon, peer_);
    if (answer == std::string(1, '\1') + std::string(8, '\0')) return true;
  } catch (const CommError&) {
    // Not there yet, or another program's.
  }
  socket_.close();
  return false;
}

std::optional<std::string> Store::ask(char what, const std::string& key, std::string_view bytes) {
  if (key.size() > kLongestKey || bytes.size() > kLongestValue)
    throw CommError(
        "store", fmt::format("a key of {} and a value of {} bytes are too long", key.size(), bytes.size()));
  const std::lock_guard lock(mutex_);
  if (!socket_.open()) throw CommError(peer_, "the connection was lost");
  try {
    const Deadline deadline = deadline_after(patience_);
    const std::string request = store_request(what, key, bytes);
    socket_.send_all(request.data(), request.size(), deadline, peer_);
    std::string head(kStoreAnswerBytes, '\0');
    socket_.receive_all(head.data(), head.size(), deadline, peer_);
    uint64_t length = 0;
    for (size_t i = 8; i > 0; --i) length = length << 8 | static_cast<unsigned char>(head[i]);
    if (length > kLongestValue) throw CommError(peer_, "answers nonsense");
    std::string value(length, '\0');
    socket_.receive_all(value.data(), length, deadline, peer_);
    if (head[0] == 0) return std::nullopt;
    return value;
  } catch (const CommError&) {
    socket_.close();  // what comes after half an answer means nothing
    throw;
  }
}

void Store::set(const std::string& key, std::string_view bytes) {
  ask('s', key, bytes);
}

std::optional<std::string> Store::get(const std::string& key) {
  return ask('g', key, "");
}

std::string Store::wait(const std::string& key, Seconds patience) {
  const Deadline deadline = deadline_after(patience);
  auto pause = std::chrono::milliseconds(1);
  while (true) {
    if (std::optional<std::string> value = get(key)) return *value;
    if (std::chrono::steady_clock::now() >= deadline)
      throw CommError("store", fmt::format("nobody set {} within {:g} s", key, patience.count()));
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::milliseconds(50));
  }
}

}  // namespace lethe
