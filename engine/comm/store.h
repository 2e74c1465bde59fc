// Keys and bytes that the ranks of a run share beside their messages: rank 0 serves them over TCP from a
// thread of its own, so that they can be read while the main threads wait in a collective. What must be known
// before there is a communicator (an address, NCCL's id) and who died goes this way.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/comm/socket.h"

namespace lethe {

class Comm;
class StoreServer;

// Where rank 0 serves. Several hosts: ways to the same machine; several ports: the first that is free.
struct StorePlace {
  std::vector<std::string> hosts;
  int first_port = 0, ports = 1;
  std::string token;  // of this run alone: others' servers and clients are refused
};

// What nobody can guess.
std::string random_token();

class Store {
 public:
  // Rank 0 serves at the place (an empty list of hosts: all its addresses; port 0: a free one), the others
  // connect to it. Throws CommError when that has not worked within `patience`, which is also how long an
  // answer may take.
  static std::unique_ptr<Store> serve(const StorePlace& place, Seconds patience);
  static std::unique_ptr<Store> join(const StorePlace& place, int rank, Seconds patience);
  // The same for ranks that can talk already; collective.
  static std::unique_ptr<Store> open(Comm& comm, Seconds patience);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Calls may come from any thread; each throws CommError if the server is gone or late.
  void set(const std::string& key, std::string_view bytes);
  std::optional<std::string> get(const std::string& key);
  // Returns as soon as it is set. CommError when that takes longer.
  std::string wait(const std::string& key, Seconds patience);

  int port() const { return port_; }
  // Another store's connection ended without a farewell: the server sets this key of its rank.
  static std::string lost_key(int rank) { return "lost/" + std::to_string(rank); }

 private:
  explicit Store(Seconds patience);
  bool try_to_join(const std::string& host, int port, const std::string& token, int rank);
  std::optional<std::string> ask(char what, const std::string& key, std::string_view bytes);

  std::unique_ptr<StoreServer> server_;  // rank 0's
  std::mutex mutex_;
  Socket socket_;
  std::string peer_;
  Seconds patience_;
  int port_ = 0;
};

}  // namespace lethe
