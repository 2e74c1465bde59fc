#include "tools/hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <exception>
#include <new>

#include "tools/hub/errors.h"

namespace lethe {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string trimmed(std::string_view text) {
  constexpr const char* spaces = " \t\r\n";
  const size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(spaces) - first + 1));
}

// The library is made ready once, before the first handle, and never torn down.
CURL* new_handle() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* handle = ready == CURLE_OK ? curl_easy_init() : nullptr;
  if (handle == nullptr) throw std::bad_alloc();
  return handle;
}

bool is_redirection(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parts(curl_url(), curl_url_cleanup);
  if (curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    if (curl_url_get(parts.get(), which, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return std::string();
    std::string copy(text);
    curl_free(text);
    return lower(copy);
  };
  return part(CURLUPART_SCHEME) + "://" + part(CURLUPART_HOST) + ":" + part(CURLUPART_PORT);
}

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<int64_t> HttpAnswer::length() const {
  // "bytes 100-199/200" of a part, else the length of what is sent.
  std::string text = header("content-range");
  text = text.empty() ? header("content-length") : text.substr(text.find('/') + 1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// One request and what comes back, as the callbacks see it.
struct Http::Exchange {
  CURL* curl;
  const Sink& sink;
  HttpAnswer answer;
  std::exception_ptr thrown;  // no exception may pass through libcurl

  static size_t take_header(char* bytes, size_t size, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const std::string_view line(bytes, size * count);
    if (line.starts_with("HTTP/")) exchange.answer.headers.clear();  // after "100 Continue" comes another
    if (const size_t colon = line.find(':'); colon != std::string_view::npos)
      exchange.answer.headers[lower(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
    return size * count;
  }

  static size_t take_body(char* bytes, size_t size, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    curl_easy_getinfo(exchange.curl, CURLINFO_RESPONSE_CODE, &exchange.answer.status);
    const bool wanted = exchange.answer.status == 200 || exchange.answer.status == 206;
    try {
      if (wanted && exchange.sink) exchange.sink(exchange.answer, {bytes, size * count});
    } catch (...) {
      exchange.thrown = std::current_exception();
      return 0;
    }
    return size * count;
  }
};

Http::Http(std::string endpoint, std::string token, double stall_seconds)
    : curl_(new_handle()),
      endpoint_(std::move(endpoint)),
      token_(std::move(token)),
      stall_seconds_(stall_seconds) {}

Http::~Http() {
  curl_easy_cleanup(static_cast<CURL*>(curl_));
}

HttpAnswer Http::ask(const HttpRequest& request, const Sink& sink) {
  constexpr int most_redirections = 10;
  HttpRequest next = request;
  for (int i = 0; i <= most_redirections; ++i) {
    std::string to;
    HttpAnswer answer = ask_once(next, sink, to);
    if (!is_redirection(answer.status) || to.empty()) return answer;
    if (request.head && origin_of(to) != origin_of(next.url)) return answer;
    if (next.url.starts_with("https:") && !to.starts_with("https:"))
      throw HubFailure(request.url, answer.status, "is redirected from https to a connection without");
    next.url = to;
  }
  throw HubFailure(request.url, 0, fmt::format("is redirected more than {} times", most_redirections));
}

HttpAnswer Http::ask_once(const HttpRequest& request, const Sink& sink, std::string& redirected_to) {
  auto* curl = static_cast<CURL*>(curl_);
  curl_easy_reset(curl);  // connections stay open
  Exchange exchange{curl, sink, {}, nullptr};
  std::array<char, CURL_ERROR_SIZE> why{};
  const auto set = [&](CURLoption option, auto value) {
    if (curl_easy_setopt(curl, option, value) != CURLE_OK)
      throw HubFailure(request.url, 0,
                       fmt::format("libcurl refuses its option {}", static_cast<int>(option)));
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_USERAGENT, "lethe/" LETHE_VERSION);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_CONNECTTIMEOUT, 10L);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max(stall_seconds_, 1.0)));
  set(CURLOPT_BUFFERSIZE, 512L * 1024);
  set(CURLOPT_ERRORBUFFER, why.data());
  set(CURLOPT_HEADERFUNCTION, &Exchange::take_header);
  set(CURLOPT_HEADERDATA, &exchange);
  set(CURLOPT_WRITEFUNCTION, &Exchange::take_body);
  set(CURLOPT_WRITEDATA, &exchange);
  if (request.head) set(CURLOPT_NOBODY, 1L);
  const std::string range = fmt::format("{}-", request.from);
  if (request.from > 0) set(CURLOPT_RANGE, range.c_str());
  if (!token_.empty() && origin_of(request.url) == origin_of(endpoint_)) {
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
    set(CURLOPT_XOAUTH2_BEARER, token_.c_str());
  }
  const CURLcode code = curl_easy_perform(curl);
  if (exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (code != CURLE_OK) throw HttpFailure{why[0] != '\0' ? why.data() : curl_easy_strerror(code)};
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange.answer.status);
  char* to = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &to);
  redirected_to = to == nullptr ? "" : to;
  return exchange.answer;
}

}  // namespace lethe
