// The number in the text of a solved problem, as lm-evaluation-harness finds and compares it.
#pragma once

#include <string>
#include <string_view>

namespace lethe::eval {

// The first number behind "#### ": `#### (\-?[0-9\.\,]+)`; "[invalid]" where there is none.
std::string strict_answer(std::string_view text);
// The first behind "The answer is ", with one character more: `The answer is (\-?[0-9\.\,]+).`
std::string strict_spoken_answer(std::string_view text);
// The last number: `(-?[$0-9.,]{2,})|(-?[0-9]+)`.
std::string flexible_answer(std::string_view text);

// What both sides are before they are compared: without commas, dollars, all up to the last "#### ", and a
// full stop at the end; in lower case.
std::string comparable(std::string_view answer);
// As at the tags v0.4.0 and v0.4.1: the full stop stays.
std::string comparable_with_full_stop(std::string_view answer);

}  // namespace lethe::eval
