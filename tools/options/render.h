// An option table for readers: columns for --help, markdown for docs/options.md, JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "tools/options/option_table.h"
#include "tools/options/settings.h"

namespace lethe {

// Breaks text at spaces into lines of at most `width` characters (a longer word has a line of its own).
std::vector<std::string> wrap(const std::string& text, size_t width);

// Name, default and meaning in columns within `width` characters.
std::string help_text(const OptionTable& table, size_t width = 110);

// The whole page docs/options.md.
std::string markdown_page(const std::vector<const OptionTable*>& tables);

// {"train": [{"name", "type", "default", "allowed", "unit", "meaning"}, ...], ...}
std::string json_text(const std::vector<const OptionTable*>& tables);

// Each option's value and where it came from: in columns, or as {"lora.rank": {"value": "8", "source": ...}}.
std::string values_text(const Settings& settings);
std::string values_json(const Settings& settings);

}  // namespace lethe
