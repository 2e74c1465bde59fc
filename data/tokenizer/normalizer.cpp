#include "data/tokenizer/normalizer.h"

#include <fmt/format.h>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/characters.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {
namespace {

Normalizer form(NormalForm f) {
  return [f](std::string_view text) { return normal_form(text, f); };
}

std::string_view strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const CodePoint c = code_point_at(text, 0);
    if (!is_white_space(c.value)) break;
    text.remove_prefix(c.bytes);
  }
  while (right && !text.empty()) {
    const CodePoint c = code_point_before(text, text.size());
    if (!is_white_space(c.value)) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

std::string without_marks(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (!is_mark(c.value)) result += text.substr(i, c.bytes);
    i += c.bytes;
  }
  return result;
}

Normalizer sequence(const JsonPlace& place) {
  std::vector<Normalizer> steps;
  for (const JsonPlace& step : place.at("normalizers").elements()) {
    if (step.is_null()) step.refuse("an object expected, found null");
    steps.push_back(make_normalizer(step));
  }
  return [steps](std::string_view text) {
    std::string result(text);
    for (const Normalizer& step : steps) {
      result = step(result);
      if (result.size() > longest_result(text.size())) {
        throw DataError(fmt::format("normalizers turn {} bytes into {}", text.size(), result.size()));
      }
    }
    return result;
  };
}

}  // namespace

Normalizer make_normalizer(const JsonPlace& place) {
  if (place.is_null()) return {};
  const std::string type = place.at("type").string();
  if (type == "NFC") return form(NormalForm::nfc);
  if (type == "NFD") return form(NormalForm::nfd);
  if (type == "NFKC") return form(NormalForm::nfkc);
  if (type == "NFKD") return form(NormalForm::nfkd);
  if (type == "Lowercase") return lower_case;
  if (type == "StripAccents") return without_marks;
  if (type == "ByteLevel") return to_byte_level;
  if (type == "Sequence") return sequence(place);
  if (type == "Strip") {
    const bool left = place.boolean_or("strip_left", true), right = place.boolean_or("strip_right", true);
    return [left, right](std::string_view text) { return std::string(strip(text, left, right)); };
  }
  if (type == "Prepend") {
    return [prefix = place.at("prepend").string()](std::string_view text) {
      return text.empty() ? std::string() : std::string(prefix).append(text);
    };
  }
  if (type == "Replace") {
    return [pattern = Pattern(place.at("pattern")), content = place.at("content").string()](
               std::string_view text) { return pattern.replace_all(text, content); };
  }
  place.at("type").refuse(fmt::format("the normalizer {} is not implemented", type));
}

}  // namespace lethe
