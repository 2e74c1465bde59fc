#include "data/json_records.h"

#include <fmt/format.h>
#include <utf8.h>

#include <optional>
#include <vector>

#include "data/text_file.h"
#include "engine/error.h"

namespace lethe {
namespace {

constexpr std::string_view white_space = " \t\r\n\v\f";
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

nlohmann::json parse(const std::string& text, const std::string& path, int64_t line,
                     const JsonLimits& limits) {
  const auto check = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > limits.depth) {
      throw FormatError(path, at_line(line), fmt::format("nested deeper than {} levels", limits.depth));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {  // malformed, or a number that no double can hold
    std::string what = error.what();                  // quotes what it read last, however long that is
    if (what.size() > 300) what = utf8::replace_invalid(what.substr(0, 300)) + "...";
    throw FormatError(path, at_line(line), "not valid JSON: " + what);
  }
}

// One character after another, with the line it stands in.
class Characters {
 public:
  explicit Characters(const std::string& path) : file_(open_bytes(path)), buffer_(size_t{1} << 16) {}

  std::optional<char> next() {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = file_->read(buffer_.data(), buffer_.size());
      if (end_ == 0) return {};
    }
    const char c = buffer_[begin_++];
    line_ += c == '\n' ? 1 : 0;
    return c;
  }
  // The next that is no white space and no byte order mark.
  std::optional<char> next_visible() {
    std::optional<char> c = next();
    while (c && (white_space.find(*c) != std::string_view::npos ||
                 byte_order_mark.find(*c) != std::string_view::npos)) {
      c = next();
    }
    return c;
  }
  int64_t line() const { return line_; }

 private:
  std::unique_ptr<ByteSource> file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
  int64_t line_ = 1;
};

}  // namespace

// The text of one record after another.
class JsonRecords::Reader {
 public:
  virtual ~Reader() = default;
  virtual bool next(std::string& text, int64_t& line) = 0;
};

class JsonRecords::Lines final : public Reader {
 public:
  Lines(const std::string& path, size_t most) : file_(path), most_(most) {}

  bool next(std::string& text, int64_t& line) override {
    do {
      text.clear();
      if (!file_.append_line(text, most_)) return false;
    } while (text.find_first_not_of(white_space) == std::string::npos);
    line = file_.line();
    return true;
  }

 private:
  TextFile file_;
  size_t most_;
};

// Finds where each element ends by counting brackets outside strings; what an element is, the parser says.
class JsonRecords::Elements final : public Reader {
 public:
  Elements(const std::string& path, size_t most) : path_(path), most_(most), file_(path) {
    file_.next_visible();  // the array's "["
  }

  bool next(std::string& text, int64_t& line) override {
    text.clear();
    if (ended_) return false;
    std::optional<char> c = file_.next_visible();
    line = file_.line();
    if (c == ']' && first_) return end();
    first_ = false;
    for (; c && !ends_element(*c); c = file_.next()) {
      text += *c;
      if (text.size() > most_) {
        throw FormatError(path_, at_line(line), fmt::format("a record longer than {} bytes", most_));
      }
    }
    if (!c) {
      throw FormatError(path_, at_line(file_.line()), "not valid JSON: the array stops before its \"]\"");
    }
    require_utf8(text, path_, line);
    if (*c == ']') end();
    return true;
  }

 private:
  bool end() {
    ended_ = true;
    if (file_.next_visible()) throw FormatError(path_, at_line(file_.line()), "more after the array's end");
    return false;
  }

  bool ends_element(char c) {
    if (inside_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        inside_string_ = false;
      }
      return false;
    }
    if (c == '"') inside_string_ = true;
    if (depth_ == 0 && (c == ',' || c == ']')) return true;
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    return false;
  }

  std::string path_;
  size_t most_;
  Characters file_;
  int64_t depth_ = 0;
  bool first_ = true, ended_ = false, inside_string_ = false, escaped_ = false;
};

JsonRecords::JsonRecords(const std::string& path, const JsonLimits& limits) : path_(path), limits_(limits) {
  if (Characters(path).next_visible() == '[') {
    reader_ = std::make_unique<Elements>(path, limits.record_bytes);
  } else {
    reader_ = std::make_unique<Lines>(path, limits.record_bytes);
  }
}

JsonRecords::~JsonRecords() = default;

bool JsonRecords::next() {
  if (!reader_->next(text_, line_)) return false;
  record_ = parse(text_, path_, line_, limits_);
  return true;
}

bool is_jsonl(const std::string& path) {
  const std::string plain = without_compression(path);
  return plain.ends_with(".jsonl") || plain.ends_with(".ndjson");
}

}  // namespace lethe
