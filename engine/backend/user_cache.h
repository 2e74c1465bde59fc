// Where what was timed or built for this machine is kept between processes.
#pragma once

#include <string>

namespace lethe {

// "<cache>/lethe/NAME": in $XDG_CACHE_HOME, else in ~/.cache (the XDG Base Directory Specification, by which
// a relative path there is to be ignored). Empty where the user has neither. The folder need not exist.
std::string user_cache_folder(const std::string& name);

}  // namespace lethe
