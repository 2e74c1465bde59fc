// Kinds of characters, as Unicode has them, and the normal forms of text.
#pragma once

#include <string>
#include <string_view>

namespace lethe {

bool is_white_space(char32_t c);  // the property White_Space
bool is_numeric(char32_t c);      // categories Nd, Nl, No
bool is_word(char32_t c);         // alphabetic, a mark, a decimal digit, a connector or a joiner
bool is_punctuation(char32_t c);  // categories P*, and all of ASCII's own
bool is_mark(char32_t c);         // categories M*

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normal_form(std::string_view text, NormalForm form);

// Character by character: a sigma at the end of a word is like any other.
std::string lower_case(std::string_view text);

}  // namespace lethe
