#include "tests/hub/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/files.h"
#include "tools/hub/checksum.h"

namespace lethe::test {
namespace {

bool send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

ServerRequest parse_request(const std::string& head) {
  ServerRequest request;
  size_t end = head.find("\r\n");
  const std::string first = head.substr(0, end);
  request.method = first.substr(0, first.find(' '));
  request.path = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
  while (end + 2 < head.size()) {
    const size_t begin = end + 2;
    end = head.find("\r\n", begin);
    const std::string line = head.substr(begin, end - begin);
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) break;
    std::string name = line.substr(0, colon);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers[name] = line.substr(colon + 2);
  }
  return request;
}

// "bytes=5-" honoured.
ServerReply ranged(const ServerRequest& request, const std::string& bytes) {
  const std::string range = request.header("range");
  if (!range.starts_with("bytes=")) return {.body = bytes};
  const size_t from = std::stoul(range.substr(6));
  if (from >= bytes.size()) return {.status = 416};
  return {
      .status = 206,
      .headers = {{"Content-Range", "bytes " + std::to_string(from) + "-" + std::to_string(bytes.size() - 1) +
                                        "/" + std::to_string(bytes.size())}},
      .body = bytes.substr(from)};
}

}  // namespace

std::string ServerRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (listening_ < 0 || ::bind(listening_, any, length) != 0 || ::listen(listening_, 16) != 0 ||
      ::getsockname(listening_, any, &length) != 0)
    throw std::runtime_error("no socket on the loopback");
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  ::shutdown(listening_, SHUT_RDWR);  // accept() returns
  accepting_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listening_);
}

std::string HttpServer::url() const {
  return "http://127.0.0.1:" + std::to_string(port_);
}

std::vector<ServerRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::forget_requests() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
}

void HttpServer::serve() {
  while (!stopping_) {
    const int connection = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    const std::lock_guard lock(mutex_);
    connections_.emplace_back([this, connection] { answer(connection); });
  }
}

// One request a connection.
void HttpServer::answer(int connection) {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n") && ::recv(connection, &byte, 1, 0) == 1) head += byte;
  if (head.ends_with("\r\n\r\n")) {
    const ServerRequest request = parse_request(head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const ServerReply reply = handler_(request);
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\nConnection: close\r\n";
    if (!reply.headers.contains("Content-Length"))
      text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
    bool going = send_all(connection, text + "\r\n");
    std::string_view body = reply.body;
    if (reply.cut_after >= 0) body = body.substr(0, static_cast<size_t>(reply.cut_after));
    for (size_t at = 0; going && request.method != "HEAD" && at < body.size();) {
      const size_t piece = reply.piece_wait_ms > 0 ? body.size() / 4 + 1 : body.size();
      going = send_all(connection, body.substr(at, piece));
      at += piece;
      std::this_thread::sleep_for(std::chrono::milliseconds(reply.piece_wait_ms));
    }
  }
  ::shutdown(connection, SHUT_RDWR);
  ::close(connection);
}

TestHub::TestHub(HubContents contents)
    : contents_(std::move(contents)),
      store_([this](const ServerRequest& r) { return answer_from_store(r); }),
      hub_([this](const ServerRequest& r) { return answer(r); }) {}

void TestHub::forget_requests() {
  hub_.forget_requests();
  store_.forget_requests();
}

bool TestHub::is_large(const std::string& file) const {
  return std::ranges::find(contents_.large, file) != contents_.large.end();
}

std::string TestHub::checksum(const std::string& file) const {
  const Folder folder;
  return checksum_like(std::string(is_large(file) ? 64 : 40, '0'),
                       write_text(folder / "bytes", contents_.files.at(file)));
}

ServerReply TestHub::answer(const ServerRequest& request) const {
  const std::string list = "/api/models/" + contents_.repository + "/revision/",
                    resolve = "/" + contents_.repository + "/resolve/" + contents_.commit + "/";
  ServerReply reply{.status = 404, .headers = {{"X-Error-Code", "RepoNotFound"}}};
  if (request.path == list + "main" || request.path == list + contents_.commit) {
    nlohmann::json body{{"sha", contents_.commit}, {"siblings", nlohmann::json::array()}};
    for (const auto& [name, bytes] : contents_.files) body["siblings"].push_back({{"rfilename", name}});
    reply = {.body = body.dump()};
  } else if (request.path.starts_with(list)) {
    reply.headers = {{"X-Error-Code", "RevisionNotFound"}};
  } else if (request.path.starts_with(resolve)) {
    const std::string name = request.path.substr(resolve.size());
    const auto file = contents_.files.find(name);
    if (file == contents_.files.end()) {
      reply.headers = {{"X-Error-Code", "EntryNotFound"}};
    } else if (is_large(name)) {
      reply = {.status = 302,
               .headers = {{"Location", store_.url() + "/" + name},
                           {"X-Linked-Etag", "\"" + checksum(name) + "\""},
                           {"X-Linked-Size", std::to_string(file->second.size())}}};
    } else {
      reply = ranged(request, file->second);
      reply.headers["ETag"] = "\"" + checksum(name) + "\"";
    }
  }
  if (contents_.change) contents_.change(request, reply);
  return reply;
}

ServerReply TestHub::answer_from_store(const ServerRequest& request) const {
  ServerReply reply = ranged(request, contents_.files.at(request.path.substr(1)));
  if (contents_.change) contents_.change(request, reply);
  return reply;
}

}  // namespace lethe::test
