// Requests over HTTP, by libcurl. Redirections are followed here and not by it, so that one rule decides who
// sees the token: the endpoint that it is for, and nobody else.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lethe {

struct HttpRequest {
  std::string url;
  bool head = false;  // the headers alone; a redirection to another host is then not followed
  int64_t from = 0;   // the first byte wanted ("Range"); a server may send all the same
};

struct HttpAnswer {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of the last answer
  std::string header(const std::string& name) const;
  // Of the whole body, if the answer says it.
  std::optional<int64_t> length() const;
};

// There was no answer, or it was cut. May be worth another try.
struct HttpFailure {
  std::string why;
};

class Http {
 public:
  // token: sent to the endpoint's scheme, host and port alone; may be empty.
  Http(std::string endpoint, std::string token, double stall_seconds);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Called with each piece of a body of status 200 or 206; may throw.
  using Sink = std::function<void(const HttpAnswer&, std::string_view)>;

  // Any status is an answer. Throws HttpFailure, and HubFailure for a redirection that must not be followed.
  HttpAnswer ask(const HttpRequest& request, const Sink& sink = {});

 private:
  struct Exchange;
  HttpAnswer ask_once(const HttpRequest& request, const Sink& sink, std::string& redirected_to);

  void* curl_;
  std::string endpoint_, token_;
  double stall_seconds_;
};

// "https://host:443": what of a URL decides whether two belong together. Empty if it is no URL.
std::string origin_of(const std::string& url);

}  // namespace lethe
