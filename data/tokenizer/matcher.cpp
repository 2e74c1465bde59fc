#include "data/tokenizer/matcher.h"

namespace lethe {

int32_t Matcher::child(int32_t node, unsigned char byte) const {
  for (const Edge& edge : nodes_[node].edges) {
    if (edge.byte == byte) return edge.node;
  }
  return -1;
}

void Matcher::add(std::string_view word, int32_t id) {
  if (word.empty()) return;
  begins_[static_cast<unsigned char>(word.front())] = true;
  int32_t node = 0;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_[node].edges.push_back({byte, next});
      nodes_.emplace_back();
    }
    node = next;
  }
  if (nodes_[node].id < 0) nodes_[node].id = id;
}

Match Matcher::longest_at(std::string_view text, size_t begin) const {
  Match match{begin, begin, -1};
  int32_t node = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node < 0) break;
    if (nodes_[node].id >= 0) match = {begin, i + 1, nodes_[node].id};
  }
  return match;
}

Match Matcher::next(std::string_view text, size_t begin) const {
  for (size_t i = begin; i < text.size(); ++i) {
    if (!begins_[static_cast<unsigned char>(text[i])]) continue;
    const Match match = longest_at(text, i);
    if (match.end > i) return match;
  }
  return {text.size(), text.size(), -1};
}

std::vector<Match> Matcher::find_all(std::string_view text) const {
  std::vector<Match> found;
  for (Match m = next(text, 0); m.end > m.begin; m = next(text, m.end)) found.push_back(m);
  return found;
}

}  // namespace lethe
