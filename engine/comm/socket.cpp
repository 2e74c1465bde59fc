#include "engine/comm/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "engine/error.h"

namespace lethe {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses look_up(const std::string& host, int port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  const int code = getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
  if (code != 0) throw CommError(fmt::format("{}:{}", host, port), gai_strerror(code));
  return {found, &freeaddrinfo};
}

// False when the deadline has passed.
bool wait_for(int fd, short events, Deadline deadline) {
  while (true) {
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, milliseconds_until(deadline));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) throw CommError("poll", std::strerror(errno));
  }
}

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Nothing on success.
std::string connect_by(int fd, const addrinfo& address, Deadline deadline) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return "";
  if (errno != EINPROGRESS) return std::strerror(errno);
  if (!wait_for(fd, POLLOUT, deadline)) return "no answer in time";
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? "" : std::strerror(error);
}

template <class Step>
void transfer(int fd, size_t bytes, short events, Deadline deadline, const std::string& peer,
              const Step& step) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = step(done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0) {
      throw CommError(peer, "closed the connection");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd, events, deadline)) throw CommError(peer, "does not answer in time");
    } else if (errno != EINTR) {
      throw CommError(peer, std::strerror(errno));
    }
  }
}

}  // namespace

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30));
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::send_all(const void* data, size_t bytes, Deadline deadline, const std::string& peer) const {
  transfer(fd_, bytes, POLLOUT, deadline, peer, [&](size_t done) {
    return ::send(fd_, static_cast<const std::byte*>(data) + done, bytes - done, MSG_NOSIGNAL);
  });
}

void Socket::receive_all(void* data, size_t bytes, Deadline deadline, const std::string& peer) const {
  transfer(fd_, bytes, POLLIN, deadline, peer,
           [&](size_t done) { return ::recv(fd_, static_cast<std::byte*>(data) + done, bytes - done, 0); });
}

Listener listen_on(const std::string& host, int port) {
  const Addresses addresses = look_up(host, port, AI_PASSIVE);
  std::string why = "has no address";
  for (const addrinfo* a = addresses.get(); a; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (socket.open()) ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!socket.open() || ::bind(socket.fd(), a->ai_addr, a->ai_addrlen) != 0 ||
        ::listen(socket.fd(), SOMAXCONN) != 0) {
      why = std::strerror(errno);
      continue;
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound), &size);
    const in_port_t number = bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                         : reinterpret_cast<sockaddr_in&>(bound).sin_port;
    return {std::move(socket), ntohs(number)};
  }
  throw CommError(fmt::format("listen on {}:{}", host, port), why);
}

Socket accept_from(const Socket& listener, Deadline deadline) {
  while (wait_for(listener.fd(), POLLIN, deadline)) {
    Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.open()) continue;
    send_at_once(socket.fd());
    return socket;
  }
  return {};
}

Socket connect_to(const std::string& host, int port, Deadline deadline) {
  const Addresses addresses = look_up(host, port, 0);
  std::string why = "has no address";
  for (const addrinfo* a = addresses.get(); a; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    why = socket.open() ? connect_by(socket.fd(), *a, deadline) : std::strerror(errno);
    if (!why.empty()) continue;
    send_at_once(socket.fd());
    return socket;
  }
  throw CommError(fmt::format("connect to {}:{}", host, port), why);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::vector<std::string> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {"127.0.0.1"};
  std::vector<std::string> found;
  for (const ifaddrs* i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr, text.data(),
                text.size());
    if (!is_loopback(text.data())) found.emplace_back(text.data());
  }
  ::freeifaddrs(list);
  found.emplace_back("127.0.0.1");
  return found;
}

}  // namespace lethe
