// Where models are found and kept, as huggingface_hub is told it: one machine, one cache for both.
#pragma once

#include <string>

namespace lethe {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // without a slash at its end
  std::string cache;                                // the folder that holds models--OWNER--NAME
  std::string token;                                // empty: none is sent
  bool offline = false;                             // no request at all
  double retry_seconds = 1;                         // before a second try; doubles from try to try
  double stall_seconds = 30;                        // without a byte, after which a connection is given up

  // HF_ENDPOINT; HF_HUB_CACHE, else hub in HF_HOME, else ~/.cache/huggingface/hub (XDG_CACHE_HOME for
  // ~/.cache); HF_TOKEN, else the file HF_TOKEN_PATH or token in HF_HOME; HF_HUB_OFFLINE. Older names of the
  // same are read too. Throws RequestError if no folder can be found for the cache.
  static HubSettings of_environment();
};

}  // namespace lethe
