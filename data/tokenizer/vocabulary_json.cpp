#include "data/tokenizer/vocabulary_json.h"

#include <fmt/format.h>
#include <utf8.h>

#include "data/tokenizer/byte_level.h"

namespace lethe {
namespace {

void require_empty(const JsonPlace& model, const char* key) {
  if (const auto value = model.find(key); value && !value->is_null() && !value->string().empty()) {
    value->refuse(fmt::format("\"{}\" is not implemented", value->string()));
  }
}

void require_bpe(const JsonPlace& model) {
  const std::string type = model.string_or("type", "BPE");
  if (type != "BPE") model.at("type").refuse(fmt::format("the model {} is not implemented", type));
  if (const auto dropout = model.find("dropout"); dropout && !dropout->is_null() && dropout->value() != 0) {
    dropout->refuse("BPE-dropout is not implemented");
  }
  require_empty(model, "continuing_subword_prefix");
  require_empty(model, "end_of_word_suffix");
}

int32_t id_of(const nlohmann::json& value, const JsonPlace& vocab, const std::string& piece) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(largest_token_id)) {
    vocab.refuse(
        fmt::format("the id of \"{}\" must be from 0 to {}, is {}", piece, largest_token_id, value.dump()));
  }
  return value.get<int32_t>();
}

AddedToken read_added(const JsonPlace& place) {
  AddedToken token;
  token.id = static_cast<int32_t>(place.at("id").integer(0, largest_token_id));
  token.content = place.at("content").string();
  token.special = place.boolean_or("special", false);
  token.single_word = place.boolean_or("single_word", false);
  token.lstrip = place.boolean_or("lstrip", false);
  token.rstrip = place.boolean_or("rstrip", false);
  token.normalized = place.boolean_or("normalized", !token.special);
  return token;
}

void put(Vocabulary& v, int32_t id, const std::string& piece, const JsonPlace& place) {
  if (v.pieces.size() <= static_cast<size_t>(id)) v.pieces.resize(static_cast<size_t>(id) + 1);
  std::string& here = v.pieces[id];
  if (!here.empty() && here != piece) {
    place.refuse(fmt::format("id {} is given to \"{}\" and to \"{}\"", id, here, piece));
  }
  here = piece;
}

// "a b", cut at its one space, or ["a", "b"].
std::pair<std::string, std::string> read_merge(const nlohmann::json& merge, const JsonPlace& merges,
                                               size_t rank) {
  const auto bad = [&] {
    merges.refuse(fmt::format("merge {} must be two pieces, is {}", rank,
                              merge.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  };
  if (merge.is_array()) {
    if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) bad();
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (!merge.is_string()) bad();
  const auto& text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) bad();
  return {text.substr(0, space), text.substr(space + 1)};
}

// Whether a mark follows another character.
bool has_inner_mark(std::string_view text) {
  for (size_t at = text.find(space_mark); at != text.npos;
       at = text.find(space_mark, at + space_mark.size())) {
    if (at > 0 && !text.substr(0, at).ends_with(space_mark)) return true;
  }
  return false;
}

}  // namespace

Vocabulary read_vocabulary(const JsonPlace& model, const JsonPlace& added_tokens) {
  require_bpe(model);
  const JsonPlace vocab = model.at("vocab");
  vocab.require_object();
  // Ids with holes are allowed; an id far beyond all pieces is not, lest a short file ask for much memory.
  const size_t added_count = added_tokens.is_null() ? 0 : added_tokens.value().size();
  const size_t most = 16 * (vocab.value().size() + added_count) + (size_t{1} << 20);
  Vocabulary v;
  const auto take = [&](int32_t id, const std::string& piece, const JsonPlace& place) {
    if (static_cast<size_t>(id) > most) {
      place.refuse(fmt::format("the id {} of \"{}\" lies far beyond the pieces' number", id, piece));
    }
    put(v, id, piece, place);
    v.ids[piece] = id;
  };
  for (const auto& [piece, value] : vocab.value().items()) take(id_of(value, vocab, piece), piece, vocab);
  if (!added_tokens.is_null()) {
    for (const JsonPlace& place : added_tokens.elements()) {
      AddedToken token = read_added(place);
      if (token.content.empty()) continue;  // the reference passes over it
      const auto known = v.ids.find(token.content);
      if (known != v.ids.end() && known->second != token.id) {
        place.refuse(fmt::format("\"{}\" has the id {} and, in the vocabulary, {}", token.content, token.id,
                                 known->second));
      }
      take(token.id, token.content, place);
      v.added.push_back(std::move(token));
    }
  }
  if (v.pieces.empty()) vocab.refuse("the vocabulary is empty");
  v.special.resize(v.pieces.size());
  for (const AddedToken& token : v.added) {
    if (token.special) v.special[token.id] = true;
  }
  if (const auto unk = model.find("unk_token"); unk && !unk->is_null()) v.unk_token = unk->string();
  return v;
}

Bpe make_bpe(const JsonPlace& model, bool bytes) {
  BpeOptions options;
  options.bytes = bytes;
  options.byte_fallback = model.boolean_or("byte_fallback", false);
  options.fuse_unk = model.boolean_or("fuse_unk", false);
  options.ignore_merges = model.boolean_or("ignore_merges", false);
  const nlohmann::json& vocab = model.at("vocab").value();
  if (const auto unk = model.find("unk_token"); unk && !unk->is_null()) {
    const auto found = vocab.find(unk->string());
    if (found == vocab.end()) unk->refuse(fmt::format("\"{}\" is not in the vocabulary", unk->string()));
    options.unk_id = found->get<int32_t>();
  }
  std::unordered_map<std::string, int32_t> ids;
  ids.reserve(vocab.size());
  // Where words are bytes, a piece with a character that stands for none can never come of them.
  for (const auto& [piece, id] : vocab.items()) {
    const auto written = bytes ? from_byte_level(piece) : std::optional<std::string>(piece);
    if (written && !written->empty()) ids.emplace(*written, id.get<int32_t>());
  }
  const JsonPlace merges = model.at("merges");
  if (!merges.is_array()) merges.refuse("a list expected");
  std::vector<Bpe::Merge> list;
  list.reserve(merges.value().size());
  // The mark must be a piece, lest unknown characters on both sides of it be fused.
  options.cuts_at_marks = !bytes && !options.ignore_merges && ids.contains(std::string(space_mark));
  for (size_t i = 0; i < merges.value().size(); ++i) {
    const nlohmann::json& merge = merges.value()[i];
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    const auto pieces = read_merge(merge, merges, i);
    const std::string &left = pieces.first, &right = pieces.second;
    const auto id = [&](const std::string& piece) {
      const auto found = vocab.find(piece);
      if (found == vocab.end()) {
        merges.refuse(fmt::format("merge {} (\"{}\" with \"{}\"): \"{}\" is not in the vocabulary", i, left,
                                  right, piece));
      }
      return found->get<int32_t>();
    };
    list.push_back({id(left), id(right), id(left + right)});
    if (options.cuts_at_marks && has_inner_mark(left + right)) options.cuts_at_marks = false;
  }
  return Bpe(std::move(ids), list, options);
}

}  // namespace lethe
