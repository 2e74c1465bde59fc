// The known name that was probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lethe {

// Fewest insertions, deletions and substitutions of a character that turn a into b (Levenshtein 1966).
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate closest to `name`; a name without a dot is also held against the last part of dotted
// candidates ("learning_rate" finds "optimizer.learning_rate"). "" if there are no candidates.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace lethe
