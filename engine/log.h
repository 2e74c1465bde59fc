// One line of news for the person at the terminal, on standard error. Results never go through here.
#pragma once

#include <functional>
#include <string>

namespace lethe::log {

// Something worth knowing.
void info(const std::string& line);

// Something that may be wrong although the work goes on; prefixed with "warning: ".
void warning(const std::string& line);

// No lines on standard error: what one process of several says for all of them.
void set_silent(bool silent);

// All lines, silent or not, also go to a file: those since keep_for_file() was called and those to come, with
// the time. It is appended to. Throws IoError.
void keep_for_file();
void write_to_file(const std::string& path);
// A line for that file alone, if there is one.
void note(const std::string& line);

// Called around every line; a progress bar clears itself before and redraws after. Empty: none.
struct Hooks {
  std::function<void()> before;
  std::function<void()> after;
};
void set_hooks(Hooks hooks);

}  // namespace lethe::log
