#include "engine/comm/store_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "engine/comm/store.h"
#include "engine/error.h"

namespace lethe {
namespace {

void append_length(std::string& text, uint64_t length) {
  for (int i = 0; i < 8; ++i) text += static_cast<char>(length >> (8 * i));
}

uint64_t length_at(const char* at) {
  uint64_t length = 0;
  for (int i = 0; i < 8; ++i) length |= static_cast<uint64_t>(static_cast<unsigned char>(at[i])) << (8 * i);
  return length;
}

bool to_be_tried_again() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

std::string store_request(char what, const std::string& key, std::string_view bytes) {
  std::string text(1, what);
  append_length(text, key.size());
  append_length(text, bytes.size());
  return text.append(key).append(bytes);
}

StoreServer::StoreServer(Listener listener, std::string token)
    : listener_(std::move(listener)), token_(std::move(token)) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw CommError("pipe2", std::strerror(errno));
  stop_read_ = Socket(ends[0]);
  stop_write_ = Socket(ends[1]);
  thread_ = std::thread([this] { run(); });
}

StoreServer::~StoreServer() {
  stop_write_.close();
  thread_.join();
}

void StoreServer::run() {
  while (true) {
    std::vector<pollfd> entries{{stop_read_.fd(), POLLIN, 0}, {listener_.socket.fd(), POLLIN, 0}};
    for (const Client& c : clients_) {
      entries.push_back({c.socket.fd(), static_cast<short>(c.out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
    }
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[0].revents != 0) return;
    size_t i = 2;
    for (auto c = clients_.begin(); c != clients_.end(); ++i) {
      if (entries[i].revents == 0 || serve(*c, entries[i].revents)) {
        ++c;
        continue;
      }
      if (!c->rank.empty() && !c->leaving) values_[Store::lost_key(std::stoi(c->rank))].assign(1, '1');
      c = clients_.erase(c);
    }
    if (entries[1].revents == 0) continue;
    Socket socket = accept_from(listener_.socket, deadline_after(Seconds(0)));
    if (socket.open()) clients_.push_back({.socket = std::move(socket), .in = {}, .out = {}, .rank = {}});
  }
}

bool StoreServer::serve(Client& client, short events) {
  if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive(client)) return false;
  return answer(client) && send(client);
}

bool StoreServer::receive(Client& client) {
  std::array<char, 1 << 16> part{};
  const ssize_t n = ::recv(client.socket.fd(), part.data(), part.size(), 0);
  if (n < 0) return to_be_tried_again();
  client.in.append(part.data(), static_cast<size_t>(n));
  return n > 0;
}

bool StoreServer::send(Client& client) {
  if (client.out.empty()) return true;
  const ssize_t n = ::send(client.socket.fd(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
  if (n < 0) return to_be_tried_again();
  client.out.erase(0, static_cast<size_t>(n));
  return true;
}

bool StoreServer::answer(Client& client) {
  while (client.in.size() >= kStoreHeaderBytes) {
    const uint64_t key = length_at(client.in.data() + 1), bytes = length_at(client.in.data() + 9);
    const bool stranger = client.rank.empty();
    if (key > kLongestKey || bytes > (stranger ? kLongestKey : kLongestValue)) return false;
    if (client.in.size() < kStoreHeaderBytes + key + bytes) break;
    const char what = client.in[0];
    const std::string name = client.in.substr(kStoreHeaderBytes, key);
    std::string value = client.in.substr(kStoreHeaderBytes + key, bytes);
    client.in.erase(0, kStoreHeaderBytes + key + bytes);
    if (!answer(client, what, name, std::move(value))) return false;
  }
  return true;
}

bool StoreServer::answer(Client& client, char what, const std::string& key, std::string bytes) {
  const auto found = values_.find(key);
  bool has = true;
  std::string value;
  if (client.rank.empty()) {
    if (what != 'h' || key != token_ || bytes.empty() || bytes.size() > 9 ||
        bytes.find_first_not_of("0123456789") != std::string::npos) {
      return false;
    }
    client.rank = std::move(bytes);
  } else if (what == 's') {
    values_[key] = std::move(bytes);
  } else if (what == 'g') {
    has = found != values_.end();
    if (has) value = found->second;
  } else if (what == 'b') {
    client.leaving = true;
  } else {
    return false;
  }
  client.out += has ? '\1' : '\0';
  append_length(client.out, value.size());
  client.out += value;
  return true;
}

}  // namespace lethe
