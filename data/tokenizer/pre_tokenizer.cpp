#include "data/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include <functional>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/characters.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/split.h"
#include "data/tokenizer/utf8.h"

namespace lethe {
namespace {

constexpr const char* gpt2_words =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Words& words) const override {
    split_words(words, behavior_, invert_,
                [this](std::string_view text, auto&& found) { pattern_.find_all(text, found); });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Every character of a kind is a match of its own.
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(std::function<bool(char32_t)> kind, SplitBehavior behavior)
      : kind_(std::move(kind)), behavior_(behavior) {}
  void apply(Words& words) const override {
    split_words(words, behavior_, false, [this](std::string_view text, auto&& found) {
      for (size_t i = 0; i < text.size();) {
        const CodePoint c = code_point_at(text, i);
        if (kind_(c.value)) found(i, i + c.bytes);
        i += c.bytes;
      }
    });
  }

 private:
  std::function<bool(char32_t)> kind_;
  SplitBehavior behavior_;
};

// Runs of word characters and runs of what is neither word nor white space.
class Whitespace final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    split_words(words, SplitBehavior::removed, true, [](std::string_view text, auto&& found) {
      size_t begin = 0;
      int before = 0;
      for (size_t i = 0; i < text.size();) {
        const CodePoint c = code_point_at(text, i);
        const int kind = is_word(c.value) ? 1 : is_white_space(c.value) ? 0 : 2;
        if (kind != before) {
          if (before != 0) found(begin, i);
          begin = i;
          before = kind;
        }
        i += c.bytes;
      }
      if (before != 0) found(begin, text.size());
    });
  }
};

// Calls `write` for each word; what it appends becomes the word.
template <class Write>
void rewrite(Words& words, const Write& write) {
  std::string text;
  std::vector<Words::Span> spans;
  text.reserve(words.text().size() + words.spans().size());
  for (const Words::Span& span : words.spans()) {
    const size_t begin = text.size();
    write(words.word(span), words.at_start() && span.begin == 0, text);
    if (text.size() > begin) spans.push_back({begin, text.size()});
  }
  words.set_text(std::move(text), std::move(spans));
}

class PrefixSpace final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    rewrite(words, [](std::string_view word, bool, std::string& text) {
      text.append(word.starts_with(' ') ? "" : " ").append(word);
    });
  }
};

class ByteCharacters final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    rewrite(words, [](std::string_view word, bool, std::string& text) { text += to_byte_level(word); });
  }
};

class MarkCut final : public PreTokenizer {
 public:
  void apply(Words& words) const override {
    std::vector<Words::Span> cut;
    cut.reserve(words.text().size() / 4);
    for (const Words::Span& span : words.spans()) {
      const std::string_view word = words.word(span);
      size_t begin = 0, after_mark = 0;
      for (size_t at = word.find(space_mark); at != word.npos; at = word.find(space_mark, after_mark)) {
        if (at > begin && at != after_mark) {
          cut.push_back({span.begin + begin, span.begin + at});
          begin = at;
        }
        after_mark = at + space_mark.size();
      }
      cut.push_back({span.begin + begin, span.end});
    }
    words.set_spans(std::move(cut));
  }
};

class Metaspace final : public PreTokenizer {
 public:
  enum class Prepend { always, first, never };
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void apply(Words& words) const override {
    rewrite(words, [this](std::string_view word, bool first, std::string& text) {
      const bool has_one = word.starts_with(' ') || word.starts_with(replacement_);
      const bool asked = prepend_ == Prepend::always || (prepend_ == Prepend::first && first);
      if (asked && !has_one) text += replacement_;
      for (const char c : word) c == ' ' ? text += replacement_ : text += c;
    });
    if (!split_) return;
    split_words(words, SplitBehavior::merged_with_next, false, [this](std::string_view text, auto&& found) {
      for (size_t at = text.find(replacement_); at != text.npos;
           at = text.find(replacement_, at + replacement_.size())) {
        found(at, at + replacement_.size());
      }
    });
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

std::unique_ptr<PreTokenizer> make_metaspace(const JsonPlace& place) {
  const bool old = place.boolean_or("add_prefix_space", true);
  const std::string scheme = place.string_or("prepend_scheme", old ? "always" : "never");
  if (!old && scheme != "never") place.refuse("add_prefix_space is false and prepend_scheme is " + scheme);
  using Prepend = Metaspace::Prepend;
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    place.at("prepend_scheme").refuse(fmt::format("\"{}\" is not always, first or never", scheme));
  }
  const Prepend prepend = scheme == "always"  ? Prepend::always
                          : scheme == "first" ? Prepend::first
                                              : Prepend::never;
  const std::string replacement = place.at("replacement").string();
  if (replacement.empty() || code_point_at(replacement, 0).bytes != replacement.size()) {
    place.at("replacement").refuse("must be one character");
  }
  return std::make_unique<Metaspace>(replacement, prepend, place.boolean_or("split", true));
}

// A step of the file may be several of ours. `last`: nothing comes after it.
void add_steps(const JsonPlace& place, bool last, PreTokenization& made) {
  const std::string type = place.at("type").string();
  const auto add = [&]<class Step>(std::unique_ptr<Step> step) { made.steps.push_back(std::move(step)); };
  const auto split_at = [&](std::function<bool(char32_t)> kind, SplitBehavior behavior) {
    add(std::make_unique<CharacterSplit>(std::move(kind), behavior));
  };
  if (type == "Sequence") {
    const auto steps = place.at("pretokenizers").elements();
    for (size_t i = 0; i < steps.size(); ++i) add_steps(steps[i], last && i + 1 == steps.size(), made);
  } else if (type == "ByteLevel") {
    if (place.boolean_or("add_prefix_space", true)) add(std::make_unique<PrefixSpace>());
    if (place.boolean_or("use_regex", true)) {
      const nlohmann::json pattern{{"Regex", gpt2_words}};
      add(std::make_unique<Split>(Pattern(JsonPlace(pattern, "", "")), SplitBehavior::isolated, false));
    }
    if (last) {
      made.bytes = true;
    } else {
      add(std::make_unique<ByteCharacters>());
    }
  } else if (type == "Split") {
    add(std::make_unique<Split>(Pattern(place.at("pattern")), split_behavior(place.at("behavior")),
                                place.boolean_or("invert", false)));
  } else if (type == "Digits") {
    const bool individual = place.boolean_or("individual_digits", false);
    split_at(is_numeric, individual ? SplitBehavior::isolated : SplitBehavior::contiguous);
  } else if (type == "Punctuation") {
    const auto behavior = place.find("behavior");
    split_at(is_punctuation, behavior ? split_behavior(*behavior) : SplitBehavior::isolated);
  } else if (type == "WhitespaceSplit") {
    split_at(is_white_space, SplitBehavior::removed);
  } else if (type == "Whitespace") {
    add(std::make_unique<Whitespace>());
  } else if (type == "Metaspace") {
    add(make_metaspace(place));
  } else {
    place.at("type").refuse(fmt::format("the pre-tokenizer {} is not implemented", type));
  }
}

}  // namespace

std::unique_ptr<PreTokenizer> make_mark_cut() {
  return std::make_unique<MarkCut>();
}

PreTokenization make_pre_tokenization(const JsonPlace& place) {
  PreTokenization made;
  if (!place.is_null()) add_steps(place, true, made);
  return made;
}

}  // namespace lethe
