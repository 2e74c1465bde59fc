// Finds known words in a text: leftmost, and the longest of those that begin there.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace lethe {

struct Match {
  size_t begin = 0, end = 0;  // bytes
  int32_t id = 0;
};

// A trie over bytes.
class Matcher {
 public:
  // A word added twice keeps the first id; the empty word is never found.
  void add(std::string_view word, int32_t id);
  bool empty() const { return nodes_.size() == 1; }

  // The longest word that begins at `begin`; end == begin: none does.
  Match longest_at(std::string_view text, size_t begin) const;
  // The next word at or after `begin`; end == begin == text.size(): there is none.
  Match next(std::string_view text, size_t begin) const;
  // All of them from left to right, without overlap.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    int32_t id = -1;
  };
  int32_t child(int32_t node, unsigned char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> begins_{};  // the bytes that some word begins with
};

}  // namespace lethe
