// Texts out of Parquet files, by Apache Arrow's library where the build found it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lethe {

// Whether a path's name is that of a Parquet file.
bool is_parquet(const std::string& path);

// Calls `visitor` with each row's text of `column` and the row's number, from 1. Throws FormatError naming
// file and column or row (no such column, one that holds no text, a null, not UTF-8, a damaged file), and
// ConfigError where this build has no Arrow.
void visit_parquet(const std::string& path, const std::string& column,
                   const std::function<void(std::string&&, int64_t row)>& visitor);

}  // namespace lethe
