// One repository of a hub: what is in it, and its files brought into the cache.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/hub/cache.h"
#include "tools/hub/http.h"
#include "tools/hub/name.h"
#include "tools/hub/settings.h"

namespace lethe {

struct HubListing {
  std::string commit;
  std::vector<std::string> files;

  bool has(const std::string& file) const;
};

// Both functions throw HubRefusal for what the hub does not have or does not show to this user, HubFailure
// where it does not answer, after some tries, or sends what cannot be right.
class HubRepository {
 public:
  HubRepository(const HubSettings& settings, const HubName& name);

  HubListing list();

  // The file of a commit, in the cache: its blob, unless it is there already, and the link to it. A download
  // that was cut goes on where it was. Nothing stands under a blob's name before its checksum was found
  // right. Throws IoError, RequestError (no space) too.
  void fetch(const std::string& commit, const std::string& file);

 private:
  struct Blob {
    std::string url, checksum;
    int64_t bytes = 0;
  };
  Blob describe(const std::string& commit, const std::string& file);
  void download(const Blob& blob, const std::string& file);
  // Asks until there is an answer that no further try would change. progress: grows while tries are worth it.
  HttpAnswer ask(const std::string& url, const std::function<HttpAnswer()>& once,
                 const std::function<int64_t()>& progress = {});
  void require_found(const std::string& url, const HttpAnswer& answer) const;

  HubSettings settings_;
  HubName name_;
  HubCache cache_;
  Http http_;
};

}  // namespace lethe
