#include "data/tokenizer/decoder.h"

#include <fmt/format.h>
#include <utf8.h>

#include <charconv>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {
namespace {

using Pieces = std::vector<std::string>;

// Characters become the bytes that they stand for; a piece that has another character is its own bytes.
Pieces byte_level(const Pieces& pieces) {
  std::string bytes;
  for (const std::string& piece : pieces) bytes += from_byte_level(piece).value_or(piece);
  return {lossy_utf8(bytes)};
}

Pieces fuse(const Pieces& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return {text};
}

// <0x41>; -1 for anything else.
int byte_of(const std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return -1;
  int value = -1;
  const char* end = piece.data() + 5;
  return std::from_chars(piece.data() + 3, end, value, 16).ptr == end ? value : -1;
}

// A run of byte pieces is one piece; when it is not UTF-8, a U+FFFD for each byte.
Pieces byte_fallback(const Pieces& pieces) {
  Pieces result;
  std::string run;
  const auto flush = [&] {
    if (utf8::is_valid(run.begin(), run.end())) {
      if (!run.empty()) result.push_back(run);
    } else {
      result.insert(result.end(), run.size(), "\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (const std::string& piece : pieces) {
    if (const int byte = byte_of(piece); byte >= 0) {
      run.push_back(static_cast<char>(byte));
      continue;
    }
    flush();
    result.push_back(piece);
  }
  flush();
  return result;
}

std::string one_character(const JsonPlace& place) {
  const std::string& text = place.string();
  if (text.empty() || code_point_at(text, 0).bytes != text.size()) place.refuse("must be one character");
  return text;
}

Decoder strip(const JsonPlace& place) {
  const std::string content = one_character(place.at("content"));
  const int64_t start = place.at("start").integer(0, 1 << 20), stop = place.at("stop").integer(0, 1 << 20);
  return [=](Pieces pieces) {
    for (std::string& piece : pieces) {
      for (int64_t i = 0; i < start && piece.starts_with(content); ++i) piece.erase(0, content.size());
      for (int64_t i = 0; i < stop && piece.ends_with(content); ++i)
        piece.resize(piece.size() - content.size());
    }
    return pieces;
  };
}

std::string replace(std::string_view text, std::string_view what, std::string_view with) {
  std::string result;
  size_t done = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, done)) {
    result.append(text.substr(done, at - done)).append(with);
    done = at + what.size();
  }
  return result.append(text.substr(done));
}

Decoder metaspace(const JsonPlace& place) {
  const std::string mark = one_character(place.at("replacement"));
  const std::string scheme =
      place.string_or("prepend_scheme", place.boolean_or("add_prefix_space", true) ? "always" : "never");
  return [mark, prepends = scheme != "never"](Pieces pieces) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      pieces[i] = replace(pieces[i], mark, i == 0 && prepends ? "" : " ");
    }
    return pieces;
  };
}

size_t bytes_of(const Pieces& pieces) {
  size_t bytes = 0;
  for (const std::string& piece : pieces) bytes += piece.size();
  return bytes;
}

Decoder sequence(const JsonPlace& place) {
  std::vector<Decoder> steps;
  for (const JsonPlace& step : place.at("decoders").elements()) {
    if (step.is_null()) step.refuse("an object expected, found null");
    steps.push_back(make_decoder(step));
  }
  return [steps](Pieces pieces) {
    const size_t before = bytes_of(pieces);
    for (const Decoder& step : steps) {
      pieces = step(std::move(pieces));
      if (bytes_of(pieces) > longest_result(before)) {
        throw DataError(fmt::format("decoders turn {} bytes into {}", before, bytes_of(pieces)));
      }
    }
    return pieces;
  };
}

}  // namespace

Decoder make_decoder(const JsonPlace& place) {
  if (place.is_null()) return {};
  const std::string type = place.at("type").string();
  if (type == "ByteLevel") return byte_level;
  if (type == "ByteFallback") return byte_fallback;
  if (type == "Fuse") return fuse;
  if (type == "Strip") return strip(place);
  if (type == "Metaspace") return metaspace(place);
  if (type == "Sequence") return sequence(place);
  if (type == "Replace") {
    return [pattern = Pattern(place.at("pattern")), content = place.at("content").string()](Pieces pieces) {
      for (std::string& piece : pieces) piece = pattern.replace_all(piece, content);
      return pieces;
    };
  }
  place.at("type").refuse(fmt::format("the decoder {} is not implemented", type));
}

}  // namespace lethe
