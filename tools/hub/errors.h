// What can go wrong between Lethe and a model hub. `url`: what was asked for; `status`: of HTTP, 0 where none
// came.
#pragma once

#include <string>

#include "engine/error.h"

namespace lethe {

// The hub or the cache does not have what was asked for, or not for this user.
struct HubRefusal : RequestError {
  HubRefusal(const std::string& url_, long status_, const std::string& what_is_wrong)
      : RequestError(url_ + ": " + what_is_wrong), url(url_), status(status_), why(what_is_wrong) {}
  std::string url;
  long status;
  std::string why;
};

// No answer, a broken one, or bytes that are not those promised. What was downloaded stays for the next try.
struct HubFailure : RunError {
  HubFailure(const std::string& url_, long status_, const std::string& what_is_wrong)
      : RunError(url_ + ": " + what_is_wrong), url(url_), status(status_) {}
  std::string url;
  long status;
};

}  // namespace lethe
