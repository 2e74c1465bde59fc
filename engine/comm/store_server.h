// The serving side of a Store. One thread answers all connections and never waits for a single one.
//
// A request is one byte of what ('h'ello, 's'et, 'g'et, 'b'ye), the lengths of key and bytes (64 bits each,
// little-endian) and then both; an answer is one byte, whether there is a value, its length and the value.
// The first request must be hello, its key the run's token and its bytes the rank.
#pragma once

#include <list>
#include <map>
#include <string>
#include <thread>

#include "engine/comm/socket.h"

namespace lethe {

struct StoreHeader {
  char what = 0;
  uint64_t key = 0, bytes = 0;
};
constexpr size_t kStoreHeaderBytes = 17, kStoreAnswerBytes = 9;
constexpr uint64_t kLongestKey = 1 << 10, kLongestValue = 1 << 26;
std::string store_request(char what, const std::string& key, std::string_view bytes);

class StoreServer {
 public:
  StoreServer(Listener listener, std::string token);
  ~StoreServer();
  StoreServer(const StoreServer&) = delete;
  StoreServer& operator=(const StoreServer&) = delete;
  int port() const { return listener_.port; }

 private:
  struct Client {
    Socket socket;
    std::string in, out;
    std::string rank;  // empty before hello
    bool leaving = false;
  };
  void run();
  // False: the connection is to be dropped.
  bool serve(Client& client, short events);
  bool receive(Client& client);
  bool send(Client& client);
  bool answer(Client& client);
  bool answer(Client& client, char what, const std::string& key, std::string bytes);

  Listener listener_;
  Socket stop_read_, stop_write_;
  std::string token_;
  std::map<std::string, std::string> values_;
  std::list<Client> clients_;
  std::thread thread_;
};

}  // namespace lethe
