#include "data/tokenizer/characters.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {
namespace {

bool has(char32_t c, uint32_t categories) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & categories) != 0;
}

const icu::Normalizer2& whole(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
    case NormalForm::nfc:
      found = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::nfd:
      found = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::nfkc:
      found = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::nfkd:
      found = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  if (U_FAILURE(status)) throw RunError(std::string("ICU has no normal forms: ") + u_errorName(status));
  return *found;
}

// The reference library's tables are those of Unicode 9. What came later it leaves where and as it is, and
// vocabularies were learned from what it gave.
const icu::UnicodeSet& unicode_9() {
  static const icu::UnicodeSet set = [] {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet made(UNICODE_STRING_SIMPLE("[:age=9.0:]"), status);
    if (U_FAILURE(status)) throw RunError(std::string("ICU has no ages: ") + u_errorName(status));
    made.freeze();
    return made;
  }();
  return set;
}

}  // namespace

bool is_white_space(char32_t c) {
  return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
}
bool is_numeric(char32_t c) {
  return has(c, U_GC_N_MASK);
}
bool is_mark(char32_t c) {
  return has(c, U_GC_M_MASK);
}

bool is_word(char32_t c) {
  return u_isUAlphabetic(static_cast<UChar32>(c)) != 0 || has(c, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
         c == 0x200C || c == 0x200D;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > 0x20 && c < 0x7F && !has(c, U_GC_L_MASK | U_GC_N_MASK);
  return has(c, U_GC_P_MASK);
}

std::string normal_form(std::string_view text, NormalForm form) {
  const icu::Normalizer2& normalizer = whole(form);
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  UErrorCode status = U_ZERO_ERROR;
  // A part of a normal text is normal, so that what is normal as a whole is so in its Unicode 9 stretches.
  if (normalizer.isNormalizedUTF8(piece, status) && U_SUCCESS(status)) return std::string(text);
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  icu::FilteredNormalizer2(normalizer, unicode_9()).normalizeUTF8(0, piece, sink, nullptr, status);
  if (U_FAILURE(status)) throw DataError(std::string("text cannot be normalised: ") + u_errorName(status));
  return result;
}

std::string lower_case(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.bytes;
    // The one character whose lower case is two.
    if (c.value == 0x130) {
      result += "i\xCC\x87";
    } else {
      append_code_point(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c.value))), result);
    }
  }
  return result;
}

}  // namespace lethe
