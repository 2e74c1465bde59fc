// Cuts words at matches.
#pragma once

#include <string_view>
#include <vector>

#include "data/tokenizer/json.h"
#include "data/tokenizer/pre_tokenizer.h"

namespace lethe {

// What becomes of a match: a word of its own, nothing, part of the word before or after it, or part of a run
// of adjacent matches.
enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

// Throws FormatError.
inline SplitBehavior split_behavior(const JsonPlace& place) {
  const std::string& name = place.string();
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  place.refuse("the behavior \"" + name + "\" is not implemented");
}

// Takes matches and the gaps between them from left to right and gives words.
class Splitter {
 public:
  Splitter(SplitBehavior behavior, std::vector<Words::Span>& words) : behavior_(behavior), words_(words) {}

  // Before each word that is cut.
  void begin() {
    first_ = words_.size();
    match_before_ = false;
  }
  void add(size_t begin, size_t end, bool match) {
    const bool has_last = words_.size() > first_;
    bool join = false;
    switch (behavior_) {
      case SplitBehavior::isolated:
        break;
      case SplitBehavior::removed:
        if (match) return;
        break;
      case SplitBehavior::merged_with_previous:
        join = match && !match_before_ && has_last;
        break;
      // Seen from the right, a match joins what follows it unless that is a match too.
      case SplitBehavior::merged_with_next:
        join = !match && match_before_ && has_last;
        break;
      case SplitBehavior::contiguous:
        join = match == match_before_ && has_last;
        break;
    }
    match_before_ = match;
    if (join) {
      words_.back().end = end;
    } else if (end > begin) {
      words_.push_back({begin, end});
    }
  }

 private:
  SplitBehavior behavior_;
  std::vector<Words::Span>& words_;
  size_t first_ = 0;
  bool match_before_ = false;
};

// `find_all(text, found)` calls found(begin, end) for each match. `invert`: the gaps are the matches.
template <class FindAll>
void split_words(Words& words, SplitBehavior behavior, bool invert, const FindAll& find_all) {
  std::vector<Words::Span> cut;
  cut.reserve(std::max(words.spans().size(), words.text().size() / 4));
  Splitter splitter(behavior, cut);
  for (const Words::Span& span : words.spans()) {
    splitter.begin();
    size_t done = span.begin;
    find_all(words.word(span), [&](size_t begin, size_t end) {
      begin += span.begin;
      end += span.begin;
      if (begin > done) splitter.add(done, begin, invert);
      splitter.add(begin, end, !invert);
      done = end;
    });
    if (span.end > done) splitter.add(done, span.end, invert);
  }
  words.set_spans(std::move(cut));
}

}  // namespace lethe
