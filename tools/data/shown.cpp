#include "tools/data/shown.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace lethe {
namespace {

// Parts of a run of ordinary tokens, cut where `learned` changes. What a token adds to a text depends on what
// stands before it, so each part is what a longer decoding has more than a shorter one.
void append_run(const Tokenizer& tokenizer, std::span<const int32_t> ids, const std::vector<bool>& learned,
                size_t first, std::vector<ShownPart>& parts) {
  std::string before;
  for (size_t begin = 0, end = 0; begin < ids.size(); begin = end) {
    while (end < ids.size() && learned[first + end] == learned[first + begin]) ++end;
    std::string text = tokenizer.decode(ids.first(end));
    // A character whose bytes lie on both sides of a border reads otherwise in the longer text.
    std::string added = text.starts_with(before) ? text.substr(before.size())
                                                 : tokenizer.decode(ids.subspan(begin, end - begin));
    parts.push_back({std::move(added), learned[first + begin], false});
    before = std::move(text);
  }
}

// Control characters as \xNN; newlines and tabs stay.
std::string harmless(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(byte));
    } else {
      out += c;
    }
  }
  return out;
}

double percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

ShownDocument show_document(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                            const std::vector<bool>& learned) {
  ShownDocument shown;
  shown.tokens = std::ssize(ids);
  shown.learned = std::count(learned.begin(), learned.end(), true);
  for (size_t begin = 0; begin < ids.size();) {
    if (tokenizer.is_special(ids[begin])) {
      shown.parts.push_back({tokenizer.piece(ids[begin]), learned[begin], true});
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < ids.size() && !tokenizer.is_special(ids[end])) ++end;
    append_run(tokenizer, ids.subspan(begin, end - begin), learned, begin, shown.parts);
    begin = end;
  }
  return shown;
}

ShownSequence show_sequence(const RunData& data, const Loader& loader, uint64_t position) {
  const Loader::Origin from = loader.origin(position);
  const Batch batch = loader.at(position, 1);
  ShownSequence shown;
  shown.title = fmt::format("sequence {}: row {} of {}", position + 1, from.row + 1,
                            data.sources[static_cast<size_t>(from.source)].path);
  shown.padding = batch.padding;
  const std::span<const int32_t> ids(batch.ids);
  for (int64_t begin = 0, end = 0; begin < batch.tokens; begin = end) {
    while (end < batch.tokens && batch.document_start[end] == batch.document_start[begin]) ++end;
    std::vector<bool> learned(static_cast<size_t>(end - begin), false);
    for (int64_t t = begin + 1; t < end; ++t) learned[t - begin] = batch.labels[t - 1] != ignored_label;
    shown.documents.push_back(show_document(*data.tokenizer, ids.subspan(begin, end - begin), learned));
  }
  return shown;
}

ShownSequence show_example(const RunData& data, int64_t index) {
  int64_t left = index;
  for (const TrainingSource& source : data.sources) {
    const TokenShard& shard = *source.shard;
    if (left >= shard.documents()) {
      left -= shard.documents();
      continue;
    }
    const int64_t begin = shard.document_begin(left), count = shard.document_begin(left + 1) - begin;
    std::vector<int32_t> ids(static_cast<size_t>(count));
    shard.read(begin, count, ids.data());
    std::vector<bool> learned(ids.size(), false);
    for (int64_t t = 1; t < count; ++t) learned[t] = shard.supervised(begin + t);
    return {.title = fmt::format("example {}: document {} of {}", index + 1, left + 1, source.path),
            .documents = {show_document(*data.tokenizer, ids, learned)}};
  }
  throw ConfigError("--example",
                    fmt::format("{} is beyond the {} examples there are", index + 1, index - left));
}

std::string text_of(const ShownSequence& sequence, bool colours) {
  int64_t tokens = 0, learned = 0;
  for (const ShownDocument& d : sequence.documents) {
    tokens += d.tokens;
    learned += d.learned;
  }
  std::string text = fmt::format("{}: {} tokens in {} documents, {} learned, {} padding\n", sequence.title,
                                 tokens, sequence.documents.size(), learned, sequence.padding);
  for (size_t i = 0; i < sequence.documents.size(); ++i) {
    const ShownDocument& document = sequence.documents[i];
    text += fmt::format("--- document {}: {} tokens, {} learned\n", i + 1, document.tokens, document.learned);
    for (const ShownPart& part : document.parts) {
      const std::string shown = harmless(part.text);
      if (colours) {
        text +=
            fmt::format("\x1b[{}{}m{}\x1b[0m", part.learned ? "0" : "2", part.special ? ";36" : "", shown);
      } else {
        text += part.learned ? "[[" + shown + "]]" : shown;
      }
    }
    text += "\n";
  }
  return text;
}

nlohmann::json json_of(const ShownSequence& sequence) {
  nlohmann::json documents = nlohmann::json::array();
  for (const ShownDocument& document : sequence.documents) {
    nlohmann::json parts = nlohmann::json::array();
    for (const ShownPart& p : document.parts) {
      parts.push_back({{"text", p.text}, {"learned", p.learned}, {"special", p.special}});
    }
    documents.push_back({{"tokens", document.tokens}, {"learned", document.learned}, {"parts", parts}});
  }
  return {{"title", sequence.title}, {"documents", documents}, {"padding", sequence.padding}};
}

std::string sources_text(const RunData& data) {
  const std::vector<double> shares = data.shares();
  std::string text;
  for (size_t i = 0; i < data.sources.size(); ++i) {
    const TrainingSource& source = data.sources[i];
    const RowCounts& n = source.rows->counts();
    const ShardHeader& h = source.shard->header();
    text += fmt::format("{}: {} {}, {} tokens, {:.1f}% of them learned\n", source.path, h.documents,
                        h.masked ? "conversations" : "documents", n.tokens, percent(n.supervised, n.tokens));
    text += fmt::format(
        "  {} sequences of {}, {:.2f}% filled, {} documents in one at most; {:.1f}% of the run\n", n.rows,
        source.rows->tokens_per_row(), 100 * n.efficiency(), n.most_documents, 100 * shares[i]);
    if (h.dropped > 0) text += fmt::format("  left out: {} with {} tokens\n", h.dropped, h.dropped_tokens);
    if (h.cut > 0) text += fmt::format("  cut: {} by {} tokens\n", h.cut, h.cut_tokens);
  }
  return text;
}

nlohmann::json sources_json(const RunData& data) {
  const std::vector<double> shares = data.shares();
  nlohmann::json sources = nlohmann::json::array();
  for (size_t i = 0; i < data.sources.size(); ++i) {
    const TrainingSource& source = data.sources[i];
    const RowCounts& n = source.rows->counts();
    const ShardHeader& h = source.shard->header();
    sources.push_back({{"path", source.path},
                       {"share", shares[i]},
                       {"instructions", h.masked},
                       {"documents", h.documents},
                       {"tokens", n.tokens},
                       {"targets", n.supervised},
                       {"sequences", n.rows},
                       {"padding", n.padding},
                       {"efficiency", n.efficiency()},
                       {"most_documents", n.most_documents},
                       {"dropped", h.dropped},
                       {"dropped_tokens", h.dropped_tokens},
                       {"cut", h.cut},
                       {"cut_tokens", h.cut_tokens}});
  }
  return sources;
}

}  // namespace lethe
