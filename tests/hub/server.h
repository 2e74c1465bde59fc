// A hub on this machine's loopback, small enough to be told what goes wrong.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lethe::test {

struct ServerRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case

  std::string header(const std::string& name) const;
};

struct ServerReply {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  int64_t cut_after = -1;  // bytes of the body after which the connection is closed; below 0: none
  int piece_wait_ms = 0;   // between pieces of the body
};

// Answers on a port of its own, a thread a connection, until it is destroyed.
class HttpServer {
 public:
  using Handler = std::function<ServerReply(const ServerRequest&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const;
  // Those answered so far.
  std::vector<ServerRequest> requests() const;
  void forget_requests();

 private:
  void serve();
  void answer(int connection);

  Handler handler_;
  int listening_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<ServerRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread accepting_;
};

// One repository, OWNER/NAME at revision main, and how it behaves. Files named in `large` are in large
// storage: their bytes come from another host.
struct HubContents {
  std::string repository = "owner/tiny";
  std::string commit = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, std::string> files;
  std::vector<std::string> large;
  // May answer in the repository's place (status above 0), with what it would have said at hand.
  std::function<void(const ServerRequest&, ServerReply&)> change;
};

// The pair of servers: the hub, and the store that it redirects to.
class TestHub {
 public:
  explicit TestHub(HubContents contents);

  std::string url() const { return hub_.url(); }
  std::vector<ServerRequest> requests() const { return hub_.requests(); }
  std::vector<ServerRequest> store_requests() const { return store_.requests(); }
  void forget_requests();
  // "sha256" of large files, git's SHA-1 of the others.
  std::string checksum(const std::string& file) const;
  HubContents& contents() { return contents_; }

 private:
  ServerReply answer(const ServerRequest& request) const;
  ServerReply answer_from_store(const ServerRequest& request) const;
  bool is_large(const std::string& file) const;

  HubContents contents_;
  HttpServer store_, hub_;
};

}  // namespace lethe::test
