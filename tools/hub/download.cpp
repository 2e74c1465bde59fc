// Source of the requests and the headers: huggingface_hub, file_download.py.
#include "tools/hub/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/files/file_replacement.h"
#include "engine/files/json_file.h"
#include "engine/log.h"
#include "tools/hub/checksum.h"
#include "tools/hub/errors.h"
#include "tools/hub/partial_file.h"
#include "tools/hub/progress.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr int most_tries = 5;

// A revision is one part of a path, so its slashes are written as %2F.
std::string one_part(std::string text) {
  for (size_t at = 0; (at = text.find('/', at)) != std::string::npos;) text.replace(at, 1, "%2F");
  return text;
}

// Worth another try; the rest of the 4xx are not.
bool is_passing(long status) {
  return status == 408 || status == 416 || status == 429 || status >= 500;
}

// `"abc"` and `W/"abc"` are the same bytes here.
std::string bare_etag(std::string text) {
  if (text.starts_with("W/")) text.erase(0, 2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace

bool HubListing::has(const std::string& file) const {
  return std::ranges::find(files, file) != files.end();
}

HubRepository::HubRepository(const HubSettings& settings, const HubName& name)
    : settings_(settings),
      name_(name),
      cache_(settings.cache, name),
      http_(settings.endpoint, settings.token, settings.stall_seconds) {}

// The hub answers 401 both for what does not exist and for what is private.
void HubRepository::require_found(const std::string& url, const HttpAnswer& answer) const {
  if (answer.status < 400) return;
  const std::string code = answer.header("x-error-code"), said = answer.header("x-error-message");
  const auto refuse = [&](const std::string& why) {
    throw HubRefusal(url, answer.status,
                     fmt::format("{} (HTTP {}{})", why, answer.status, said.empty() ? "" : ": " + said));
  };
  const std::string page = settings_.endpoint + "/" + name_.repository;
  const char* token = settings_.token.empty() ? "give a token that may read it in HF_TOKEN"
                                              : "the token that was sent may not read it";
  if (code == "GatedRepo") refuse(fmt::format("the model is gated: accept its terms at {}; {}", page, token));
  if (code == "RevisionNotFound")
    refuse(fmt::format("{} has no revision {}", name_.repository, name_.revision));
  if (code == "EntryNotFound") refuse("there is no such file");
  if (answer.status == 401)
    refuse(fmt::format("there is no model {}, or it is private: {}", name_.repository, token));
  if (answer.status == 403) refuse(fmt::format("access is forbidden: {}", token));
  if (answer.status == 404) refuse(fmt::format("there is no model {}, or no such file", name_.repository));
  refuse("the request was refused");
}

HttpAnswer HubRepository::ask(const std::string& url, const std::function<HttpAnswer()>& once,
                              const std::function<int64_t()>& progress) {
  double wait = settings_.retry_seconds;
  int64_t before = progress ? progress() : 0;
  for (int failures = 0;;) {
    long status = 0;
    std::string why;
    try {
      HttpAnswer answer = once();
      if (!is_passing(answer.status)) {
        require_found(url, answer);
        return answer;
      }
      status = answer.status;
      const std::string said = answer.header("x-error-message");
      why = fmt::format("HTTP {}{}", status, said.empty() ? "" : ": " + said);
    } catch (const HttpFailure& failure) {
      why = failure.why;
    }
    if (progress && progress() > before) {
      before = progress();
      failures = 0;
      wait = settings_.retry_seconds;
    }
    if (++failures == most_tries)
      throw HubFailure(url, status, fmt::format("{}; gave up after {} tries", why, most_tries));
    log::info(fmt::format("{}: {}; trying again in {:.0f} s", url, why, wait));
    std::this_thread::sleep_for(std::chrono::duration<double>(wait));
    wait *= 2;
  }
}

HubListing HubRepository::list() {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint, name_.repository,
                                      one_part(name_.revision));
  std::string body;
  constexpr size_t most_bytes = 64 << 20;
  ask(url, [&] {
    body.clear();
    return http_.ask({.url = url}, [&](const HttpAnswer&, std::string_view piece) {
      if (body.size() + piece.size() > most_bytes)
        throw HubFailure(url, 200, "the list of files does not end");
      body += piece;
    });
  });
  HubListing listing;
  try {
    const nlohmann::json root = parse_json(url, body);
    listing.commit = root.at("sha").get<std::string>();
    for (const auto& entry : root.at("siblings")) listing.files.push_back(entry.at("rfilename"));
  } catch (const nlohmann::json::exception& e) {
    throw HubFailure(url, 200, fmt::format("is no list of a model's files: {}", e.what()));
  } catch (const FormatError& e) {
    throw HubFailure(url, 200, fmt::format("is no list of a model's files: {}", e.what()));
  }
  if (!is_commit(listing.commit))
    throw HubFailure(url, 200, fmt::format("names \"{}\", which is no commit", listing.commit));
  return listing;
}

HubRepository::Blob HubRepository::describe(const std::string& commit, const std::string& file) {
  Blob blob;
  blob.url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_.repository, commit, file);
  const HttpAnswer answer = ask(blob.url, [&] { return http_.ask({.url = blob.url, .head = true}); });
  // Of a file in large storage the headers with "linked" speak of the file, the others of the redirection.
  const std::string linked = answer.header("x-linked-etag"), size = answer.header("x-linked-size");
  blob.checksum = bare_etag(linked.empty() ? answer.header("etag") : linked);
  if (!is_checksum(blob.checksum))
    throw HubFailure(
        blob.url, answer.status,
        fmt::format("its ETag \"{}\" is neither a SHA-256 nor git's SHA-1, so that what comes could "
                    "not be checked",
                    blob.checksum));
  HttpAnswer sized = answer;
  if (!size.empty()) sized.headers = {{"content-length", size}};
  const auto bytes = sized.length();
  if (!bytes || (size.empty() && answer.status >= 300))
    throw HubFailure(blob.url, answer.status, "the answer does not say the file's size");
  blob.bytes = *bytes;
  return blob;
}

void HubRepository::download(const Blob& blob, const std::string& file) {
  PartialFile partial(cache_.blob(blob.checksum) + ".incomplete");
  if (partial.bytes() > blob.bytes) partial.clear();
  require_free_space(fs::path(partial.path()).parent_path().string(), blob.bytes - partial.bytes());
  DownloadProgress progress(file, blob.bytes, partial.bytes());
  const auto once = [&]() -> HttpAnswer {
    const int64_t from = partial.bytes();
    if (from == blob.bytes && from > 0) return {.status = 200, .headers = {}};
    bool first = true;
    HttpAnswer answer =
        http_.ask({.url = blob.url, .from = from}, [&](const HttpAnswer& so_far, std::string_view piece) {
          if (std::exchange(first, false) && so_far.status != 206) partial.clear();
          if (partial.bytes() + static_cast<int64_t>(piece.size()) > blob.bytes)
            throw HubFailure(blob.url, so_far.status,
                             fmt::format("sends more than the file's {} bytes", blob.bytes));
          partial.append(piece);
          progress.update(partial.bytes());
        });
    if (answer.status == 416) partial.clear();  // the server does not have that part
    return answer;
  };
  ask(blob.url, once, [&] { return partial.bytes(); });
  const auto refuse = [&](const std::string& why) {
    partial.remove();
    throw HubFailure(blob.url, 200, why + "; what came was removed");
  };
  if (partial.bytes() != blob.bytes)
    refuse(fmt::format("has {} bytes where {} were promised", partial.bytes(), blob.bytes));
  const std::string found = checksum_like(blob.checksum, partial.path());
  if (found != blob.checksum)
    refuse(fmt::format("its checksum is {} where {} was promised", found, blob.checksum));
  partial.rename_to(cache_.blob(blob.checksum));
}

void HubRepository::fetch(const std::string& commit, const std::string& file) {
  if (cache_.has(commit, file)) return;
  const Blob blob = describe(commit, file);
  const FileLock lock(cache_.lock(blob.checksum), file);
  if (!fs::exists(cache_.blob(blob.checksum))) download(blob, file);
  cache_.link(commit, file, blob.checksum);
}

}  // namespace lethe
