// TCP connections whose every call ends by a deadline. Throws CommError with the address.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace lethe {

using Seconds = std::chrono::duration<double>;
using Deadline = std::chrono::steady_clock::time_point;

inline Deadline deadline_after(Seconds seconds) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(seconds);
}

// Milliseconds until then for poll(), at least 0.
int milliseconds_until(Deadline deadline);

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close();

  // `peer` is named in errors.
  void send_all(const void* data, size_t bytes, Deadline deadline, const std::string& peer) const;
  void receive_all(void* data, size_t bytes, Deadline deadline, const std::string& peer) const;

 private:
  int fd_ = -1;
};

struct Listener {
  Socket socket;
  int port = 0;
};
// host: empty listens on all of the machine's addresses. port 0: one that is free.
Listener listen_on(const std::string& host, int port);
// Not blocking; closed (open() is false) if nobody came by the deadline.
Socket accept_from(const Socket& listener, Deadline deadline);
// Not blocking. One attempt at each of the host's addresses.
Socket connect_to(const std::string& host, int port, Deadline deadline);

std::string host_name();
// "127.0.0.1" or one that the name stands for.
bool is_loopback(const std::string& host);
// This machine's IPv4 addresses, those that only it reaches last.
std::vector<std::string> own_addresses();

}  // namespace lethe
