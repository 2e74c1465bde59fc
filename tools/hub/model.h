// A model that is given by its name at the hub becomes a path on this machine.
#pragma once

#include <string>

#include "tools/hub/name.h"
#include "tools/hub/settings.h"

namespace lethe {

// How much of a repository is wanted. `model`: all that belongs to it, or to an adapter.
enum class HubPart { model, tokenizer, config };

// The path itself, if something is there or it can be no hub's name (a name's owner that is a folder here
// makes it a path too: "runs/x" is never asked for while there is a folder "runs"). Else the model's place in
// the cache, where it is, or is brought first. This is the only place where a name becomes a path; it is
// called before a path is first looked at. Throws as hub_model does.
std::string local_model(const std::string& path_or_name, HubPart part = HubPart::model);

// The same without a request: the path itself also where the cache does not have the model.
std::string cached_model(const std::string& path_or_name, HubPart part = HubPart::model);

// The folder (or the GGUF file, if the name says one) in the cache. Where everything wanted is there, no
// request is made: what a branch stood for stays until the cache is emptied or another revision is named.
// Offline, and where the hub does not answer or refuses, what is there must do. Throws HubRefusal,
// HubFailure, IoError, RequestError.
std::string hub_model(const HubName& name, HubPart part, const HubSettings& settings);

}  // namespace lethe
