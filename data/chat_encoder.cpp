#include "data/chat_encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace lethe {
namespace {

// Texts that nothing merges with, one of which stands before a text whose ids as a continuation are wanted.
constexpr const char* guards[] = {"\n", "|", "0"};

bool starts_with(const std::vector<int32_t>& ids, const std::vector<int32_t>& start) {
  return ids.size() >= start.size() && std::equal(start.begin(), start.end(), ids.begin());
}

// Splits text parts at the tokens that are written in them.
std::vector<ChatPart> with_tokens(const std::vector<ChatPart>& parts,
                                  const std::vector<std::string>& written) {
  std::vector<ChatPart> cut;
  for (const ChatPart& part : parts) {
    std::string_view text = part.text;
    while (!part.token) {
      size_t at = std::string_view::npos;
      std::string token;
      for (const std::string& candidate : written) {
        if (const size_t found = text.find(candidate); found < at) {
          at = found;
          token = candidate;
        }
      }
      if (at == std::string_view::npos) break;
      if (at > 0) cut.push_back({std::string(text.substr(0, at)), false, part.response});
      cut.push_back({token, true, part.response});
      text.remove_prefix(at + token.size());
    }
    if (!text.empty()) cut.push_back({std::string(text), part.token, part.response});
  }
  return cut;
}

}  // namespace

ChatEncoder::ChatEncoder(ChatTemplate chat, const Tokenizer& tokenizer, bool add_bos)
    : chat_(std::move(chat)), tokenizer_(&tokenizer), add_bos_(add_bos) {
  for (const std::string& token : chat_.special_tokens()) {
    if (const int32_t id = tokenizer.piece_id(token); id >= 0) tokens_[token] = id;
    id_of(token);
  }
  const auto add = [&](const char* name, int32_t id) {
    if (id < 0) return;
    tokens_[name] = id;
    if (!chat_.content_tokens()) return;
    tokens_[tokenizer.piece(id)] = id;
    written_.push_back(tokenizer.piece(id));
  };
  add("{bos}", tokenizer.bos_id());
  add("{eos}", tokenizer.eos_id());
  if (chat_.content_tokens()) {
    written_.insert(written_.end(), chat_.special_tokens().begin(), chat_.special_tokens().end());
  }
  // A probe: what the template writes around an answer.
  std::vector<ChatPart> parts = chat_.parts({{"user", "q"}, {"assistant", "a"}}, false);
  const auto content =
      std::find_if(parts.rbegin(), parts.rend(), [](const ChatPart& p) { return !p.token && p.text == "a"; });
  for (auto part = parts.begin(); part != parts.end(); ++part) {
    if (!part->token) continue;
    const int32_t id = id_of(part->text);
    if (part >= content.base() && part->response) end_ids_.push_back(id);
  }
  const std::string guard = guards[0];
  std::vector<int32_t> apart = tokenizer.encode(guard), second = tokenizer.encode("a");
  apart.insert(apart.end(), second.begin(), second.end());
  adds_prefix_ = tokenizer.encode(guard + "a") != apart;
  if (adds_prefix_ && !tokens_.empty()) {
    const int32_t token = tokens_.begin()->second;
    std::vector<int32_t> connected = continuation("a");
    connected.insert(connected.begin(), token);
    connects_ = tokenizer.encode(tokenizer.piece(token) + "a", {.parse_special = true}) == connected;
  }
}

int32_t ChatEncoder::id_of(const std::string& token) const {
  const auto found = tokens_.find(token);
  if (found != tokens_.end()) return found->second;
  throw ConfigError("data.chat_template",
                    fmt::format("{} writes the token {}, which the tokenizer {} has not", chat_.name(), token,
                                tokenizer_->fingerprint()));
}

std::vector<int32_t> ChatEncoder::continuation(const std::string& text) const {
  if (!adds_prefix_) return tokenizer_->encode(text);
  for (const char* guard : guards) {
    const std::vector<int32_t> before = tokenizer_->encode(guard);
    std::vector<int32_t> joint = tokenizer_->encode(guard + text);
    if (!starts_with(joint, before)) continue;
    joint.erase(joint.begin(), joint.begin() + std::ssize(before));
    return joint;
  }
  throw DataError(fmt::format("no tokens can be told that continue a text with \"{}\"", text.substr(0, 40)));
}

void ChatEncoder::append_text(const std::vector<Stretch>& run, EncodedDocument& out) const {
  const bool connects = connects_ && !out.ids.empty();
  const auto encode = [&](const std::string& text) {
    return connects ? continuation(text) : tokenizer_->encode(text);
  };
  std::string before;
  std::vector<int32_t> ids;
  for (const Stretch& stretch : run) {
    std::vector<int32_t> added;
    const std::vector<int32_t> joint = encode(before + stretch.text);
    if (chat_.separate() && stretch.response) {
      added = tokenizer_->encode(stretch.text);
    } else if (starts_with(joint, ids)) {
      added.assign(joint.begin() + std::ssize(ids), joint.end());
    } else {
      added = continuation(stretch.text);
    }
    before += stretch.text;
    ids.insert(ids.end(), added.begin(), added.end());
    out.ids.insert(out.ids.end(), added.begin(), added.end());
    out.supervised.insert(out.supervised.end(), added.size(), stretch.response ? 1 : 0);
  }
  for (const auto& [token, id] : tokens_) {
    if (std::find(ids.begin(), ids.end(), id) != ids.end()) {
      throw DataError(fmt::format("a message holds the text of the token {}", tokenizer_->piece(id)));
    }
  }
}

EncodedDocument ChatEncoder::encode_parts(std::vector<ChatPart> parts) const {
  if (chat_.content_tokens()) parts = with_tokens(parts, written_);
  EncodedDocument out;
  std::vector<Stretch> run;
  const auto end_run = [&] {
    if (!run.empty()) append_text(run, out);
    run.clear();
  };
  for (const ChatPart& part : parts) {
    if (part.token) {
      end_run();
      out.ids.push_back(id_of(part.text));
      out.supervised.push_back(part.response ? 1 : 0);
    } else if (!run.empty() && run.back().response == part.response) {
      run.back().text += part.text;
    } else {
      run.push_back({part.text, part.response});
    }
  }
  end_run();
  const int32_t bos = tokenizer_->bos_id();
  const auto begins = [&](size_t at) { return out.ids.size() > at && out.ids[at] == bos; };
  if (chat_.takes_bos() && add_bos_ && !begins(0)) {
    const std::vector<int32_t> prefix = tokenizer_->prefix_ids();
    out.ids.insert(out.ids.begin(), prefix.begin(), prefix.end());
    out.supervised.insert(out.supervised.begin(), prefix.size(), 0);
  }
  if (bos >= 0 && begins(0) && begins(1)) throw DataError("the text begins with two BOS");
  return out;
}

EncodedDocument ChatEncoder::encode(const std::vector<Message>& messages, ChatLoss loss) const {
  EncodedDocument out = encode_parts(chat_.parts(messages, false));
  if (loss == ChatLoss::all) std::fill(out.supervised.begin(), out.supervised.end(), uint8_t{1});
  return out;
}

std::vector<int32_t> ChatEncoder::encode_prompt(const std::vector<Message>& messages) const {
  return encode_parts(chat_.parts(messages, true)).ids;
}

}  // namespace lethe
