// Oniguruma's expressions (its Ruby syntax) as PCRE2's. Where both read the same text in the same way it is
// passed on; what they read differently is rewritten or refused. Differences: doc/RE of Oniguruma against
// pcre2pattern(3).
#include <fmt/format.h>

#include <vector>

#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {
namespace {

// PCRE2's own \s also has U+180E, and its \w lacks marks and connectors.
constexpr std::string_view spaces =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view words = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

class Translation {
 public:
  explicit Translation(std::string_view source) : in_(source) {}

  std::string run() {
    while (at_ < in_.size()) step();
    if (!groups_.empty()) refuse("a group without its end");
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw DataError(fmt::format("the expression {} has {}, which is not implemented", in_, what));
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool takes(std::string_view text) {
    if (in_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }
  void begin_atom() { atom_ = out_.size(); }

  void step() {
    const char c = peek();
    if (c == '^' || c == '$') refuse(fmt::format("the anchor {}", c));
    if (c == '(') return open_group();
    if (c == ')') return close_group();
    if (c == '{' || c == '*' || c == '+' || c == '?') return quantifier();
    if (c == '|') {
      out_ += c;
      ++at_;
      return;
    }
    begin_atom();
    if (c == '[') return character_class();
    if (c == '\\') {
      const std::string_view negated = escape(false);
      if (!negated.empty()) out_.append("[^").append(negated).append("]");
      return;
    }
    const size_t bytes = code_point_at(in_, at_).bytes;
    out_ += in_.substr(at_, bytes);
    at_ += bytes;
  }

  void open_group() {
    groups_.push_back(out_.size());
    for (const std::string_view kind : {"(?:", "(?=", "(?!", "(?>", "(?i:", "(?-i:"}) {
      if (!takes(kind)) continue;
      out_ += kind;
      return;
    }
    // A flag holds to the end of the group that it stands in, for both.
    if (takes("(?i)")) {
      groups_.pop_back();
      out_ += "(?i)";
      return;
    }
    if (peek(1) == '?') refuse(fmt::format("the group {}", in_.substr(at_, 4)));
    out_ += "(?:";  // nothing reads what a group captured
    ++at_;
  }

  void close_group() {
    if (groups_.empty()) refuse("a group's end without its beginning");
    atom_ = groups_.back();
    groups_.pop_back();
    out_ += ')';
    ++at_;
  }

  void quantifier() {
    if (peek() != '{') {
      out_ += in_[at_++];
      // Lazy or possessive, for both.
      if (peek() == '?' || peek() == '+') out_ += in_[at_++];
      return;
    }
    const size_t end = in_.find('}', at_);
    const std::string_view inside = in_.substr(at_ + 1, end == in_.npos ? 0 : end - at_ - 1);
    if (inside.empty() || inside == "," || inside.find_first_not_of("0123456789,") != inside.npos) {
      refuse("a brace that is no repetition");
    }
    at_ = end + 1;
    out_.append("{").append(inside.front() == ',' ? "0" : "").append(inside).append("}");
    if (peek() == '?' && inside.find(',') == inside.npos) refuse("{n}?");
    if (peek() == '?') out_ += in_[at_++];
    // Not possessive here: what is repeated is repeated again.
    if (peek() == '+') {
      out_.insert(atom_, "(?:");
      out_ += ")";
    }
  }

  void character_class() {
    out_ += in_[at_++];
    if (peek() == '^') out_ += in_[at_++];
    if (peek() == ']') refuse("a class that begins with ]");
    while (peek() != ']') {
      if (at_ >= in_.size()) refuse("a class without its end");
      if (peek() == '[') refuse("a class within a class");
      if (peek() == '&' && peek(1) == '&') refuse("&& in a class");
      if (peek() == '\\') {
        if (!escape(true).empty()) refuse("\\W in a class");
        continue;
      }
      const size_t bytes = code_point_at(in_, at_).bytes;
      out_ += in_.substr(at_, bytes);
      at_ += bytes;
    }
    out_ += in_[at_++];
  }

  // Translates one escape. Returns the members whose complement it stands for, where that needs a class.
  std::string_view escape(bool in_class) {
    const char c = peek(1);
    const auto members = [&](std::string_view text) {
      out_.append(in_class ? "" : "[").append(text).append(in_class ? "" : "]");
    };
    if (c == 'p' || c == 'P') {
      property();
      return {};
    }
    if (c == 'x' || c == 'u') {
      code_point(c);
      return {};
    }
    at_ += 2;
    if (c == 's') {
      members(spaces);
    } else if (c == 'w') {
      members(words);
    } else if (c == 'S') {
      if (!in_class) return spaces;
      out_ += "\\P{White_Space}";
    } else if (c == 'W') {
      return words;
    } else if (c == 'd' || c == 'D' || c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'v') {
      // PCRE2's \v is all vertical space.
      out_.append(c == 'v' ? "\\x0b" : std::string("\\") + c);
    } else if (c > ' ' && c < '\x7f' && !isalnum(static_cast<unsigned char>(c))) {
      out_.append("\\").push_back(c);
    } else if (c == ' ') {
      out_ += ' ';
    } else {
      refuse(fmt::format("\\{}", c == '\0' ? ' ' : c));
    }
    return {};
  }

  // \p{L}, \p{^L}, \p{Han}: more than two letters name a script, which PCRE2 would take with its extensions.
  void property() {
    const size_t end = peek(2) == '{' ? in_.find('}', at_) : in_.npos;
    if (end == in_.npos) refuse("a property without braces");
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    out_.append(in_.substr(at_, 3)).append(negated ? "^" : "");
    const bool known = name.size() <= 2 || name == "Alphabetic" || name == "White_Space";
    out_.append(known ? "" : "sc:").append(name).append("}");
    at_ = end + 1;
  }

  // \x41, \x{1F600}, é
  void code_point(char kind) {
    at_ += 2;
    std::string_view digits;
    if (peek() == '{') {
      const size_t end = in_.find('}', at_);
      if (end == in_.npos) refuse("a brace without its end");
      digits = in_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      digits = in_.substr(at_, kind == 'x' ? 2 : 4);
      at_ += digits.size();
    }
    const bool hexadecimal = digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
    if (digits.empty() || digits.size() > 6 || !hexadecimal) refuse("a code point that is no number");
    out_.append("\\x{").append(digits).append("}");
  }

  std::string_view in_;
  std::string out_;
  size_t at_ = 0, atom_ = 0;
  std::vector<size_t> groups_;  // where each open one begins in out_
};

}  // namespace

std::string to_pcre2(std::string_view oniguruma) {
  return Translation(oniguruma).run();
}

}  // namespace lethe
