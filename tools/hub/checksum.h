// The names that a hub gives to a file's bytes.
#pragma once

#include <string>

namespace lethe {

// Whether an ETag is a checksum that Lethe can compute: SHA-256 of the bytes (files in large file storage),
// or SHA-1 of git's blob (all others), in lower-case hexadecimal.
bool is_checksum(const std::string& etag);

// The checksum of a file of the kind that `etag` is. Throws IoError.
std::string checksum_like(const std::string& etag, const std::string& path);

}  // namespace lethe
