#include "engine/comm/tcp.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "engine/error.h"

namespace lethe {
namespace {

const Deadline kNever = Deadline::max();

std::string name_of_rank(int rank) {
  return fmt::format("rank {}", rank);
}

bool to_be_tried_again() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

class TcpComm final : public Comm {
 public:
  TcpComm(int rank, std::vector<Socket> peers)
      : Comm(rank, static_cast<int>(peers.size())), peers_(std::move(peers)) {}

  // In a tree: a rank that has the bytes sends them to the one that is a power of two further.
  void broadcast(void* data, int64_t bytes, int root) override {
    if (bytes == 0) return;
    const int place = (rank() - root + world()) % world();
    const auto peer = [&](int p) { return static_cast<size_t>((p + root) % world()); };
    int step = 1;
    for (; step <= place; step *= 2) {
    }
    const auto size = static_cast<size_t>(bytes);
    if (place > 0) {
      const size_t from = peer(place - step / 2);
      peers_[from].receive_all(data, size, kNever, name_of_rank(static_cast<int>(from)));
    }
    for (; place + step < world(); step *= 2) {
      const size_t to = peer(place + step);
      peers_[to].send_all(data, size, kNever, name_of_rank(static_cast<int>(to)));
    }
  }

  void barrier() override {
    int64_t one = 1;
    all_reduce(&one, DType::i64, 1);  // nobody has all summands before all have come
    std::vector<int64_t> all(static_cast<size_t>(world()));
    const std::vector<int64_t> slices(all.size(), 1);
    all_gather(&one, all.data(), DType::i64, slices);
  }

  void end_all(int status) override { std::_Exit(status); }

 protected:
  void exchange(std::span<const Sent> sent, std::span<const Received> received) override {
    std::vector<int64_t> sent_so_far(peers_.size()), received_so_far(peers_.size());
    std::vector<pollfd> entries(peers_.size());
    while (true) {
      bool done = true;
      for (size_t r = 0; r < peers_.size(); ++r) {
        const bool out = sent_so_far[r] < sent[r].bytes, in = received_so_far[r] < received[r].bytes;
        entries[r] = {out || in ? peers_[r].fd() : -1,
                      static_cast<short>((out ? POLLOUT : 0) | (in ? POLLIN : 0)), 0};
        done = done && !out && !in;
      }
      if (done) return;
      if (::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno == EINTR) continue;
        throw CommError("poll", std::strerror(errno));
      }
      for (size_t r = 0; r < peers_.size(); ++r) {
        const short ready = entries[r].revents;
        if ((ready & POLLIN) != 0 || ((ready & (POLLHUP | POLLERR)) != 0 && (entries[r].events & POLLIN))) {
          received_so_far[r] += receive_some(r, received[r], received_so_far[r]);
        }
        if ((ready & (POLLOUT | POLLERR | POLLHUP)) != 0 && (entries[r].events & POLLOUT)) {
          sent_so_far[r] += send_some(r, sent[r], sent_so_far[r]);
        }
      }
    }
  }

 private:
  int64_t receive_some(size_t peer, const Received& to, int64_t done) const {
    const ssize_t n = ::recv(peers_[peer].fd(), static_cast<std::byte*>(to.data) + done,
                             static_cast<size_t>(to.bytes - done), 0);
    return moved(peer, n);
  }

  int64_t send_some(size_t peer, const Sent& from, int64_t done) const {
    const ssize_t n = ::send(peers_[peer].fd(), static_cast<const std::byte*>(from.data) + done,
                             static_cast<size_t>(from.bytes - done), MSG_NOSIGNAL);
    return moved(peer, n);
  }

  static int64_t moved(size_t peer, ssize_t n) {
    if (n > 0) return n;
    if (n < 0 && to_be_tried_again()) return 0;
    throw CommError(name_of_rank(static_cast<int>(peer)),
                    n == 0 ? "closed the connection" : std::strerror(errno));
  }

  std::vector<Socket> peers_;  // by rank; this rank's own is closed
};

Socket connect_to_rank(Store& store, int peer, int rank, Deadline deadline) {
  const Seconds left(std::max(0.0, Seconds(deadline - std::chrono::steady_clock::now()).count()));
  std::istringstream told(store.wait(fmt::format("tcp/{}", peer), left));
  int port = 0;
  std::string token;
  told >> port >> token;
  std::string why;
  for (std::string host; told >> host;) {
    try {
      Socket socket = connect_to(host, port, std::min(deadline, deadline_after(Seconds(5))));
      const auto me = static_cast<uint32_t>(rank);
      socket.send_all(&me, sizeof me, deadline, name_of_rank(peer));
      socket.send_all(token.data(), token.size(), deadline, name_of_rank(peer));
      std::string answer(token.size(), ' ');  // another machine's port at the same address gives none
      socket.receive_all(answer.data(), answer.size(), deadline_after(Seconds(5)), name_of_rank(peer));
      if (answer == token) return socket;
      why = "another program answers";
    } catch (const CommError& e) {
      why = e.what();
    }
  }
  throw CommError(name_of_rank(peer), why);
}

// Whoever knows the token is one of the ranks.
void welcome(Socket socket, const std::string& token, std::vector<Socket>& peers, int rank) {
  uint32_t who = 0;
  std::string told(token.size(), ' ');
  const Deadline soon = deadline_after(Seconds(5));
  socket.receive_all(&who, sizeof who, soon, "a connection");
  socket.receive_all(told.data(), told.size(), soon, "a connection");
  if (told != token || who >= peers.size() || static_cast<int>(who) <= rank) return;
  socket.send_all(token.data(), token.size(), soon, name_of_rank(static_cast<int>(who)));
  peers[who] = std::move(socket);
}

}  // namespace

std::unique_ptr<Comm> make_tcp_comm(Store& store, int rank, int world, Seconds patience) {
  const Deadline deadline = deadline_after(patience);
  const Listener listener = listen_on("", 0);
  const std::string token = random_token();
  std::vector<Socket> peers(static_cast<size_t>(world));
  for (int r = 0; r < rank; ++r) peers[static_cast<size_t>(r)] = connect_to_rank(store, r, rank, deadline);
  // Told only now, so that whoever connects is answered at once.
  std::string told = fmt::format("{} {}", listener.port, token);
  for (const std::string& address : own_addresses()) told += " " + address;
  store.set(fmt::format("tcp/{}", rank), told);
  const auto missing = [&] {
    return std::any_of(peers.begin() + rank + 1, peers.end(), [](const Socket& s) { return !s.open(); });
  };
  while (missing()) {
    Socket socket = accept_from(listener.socket, deadline);
    if (!socket.open()) {
      throw CommError(
          "tcp", fmt::format("rank {} waited {:g} s for other ranks to connect", rank, patience.count()));
    }
    try {
      welcome(std::move(socket), token, peers, rank);
    } catch (const CommError&) {
      // Not one of ours.
    }
  }
  return std::make_unique<TcpComm>(rank, std::move(peers));
}

}  // namespace lethe
