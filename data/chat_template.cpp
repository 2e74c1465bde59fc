#include "data/chat_template.h"

#include <fmt/format.h>
#include <utf8.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

using nlohmann::json;

// One object of a template's JSON form, its keys checked.
class Reader {
 public:
  Reader(const json& object, const std::string& file, const std::string& where, std::set<std::string> keys)
      : object_(object), file_(file), where_(where) {
    if (!object.is_object()) fail("", fmt::format("an object expected, found {}", object.type_name()));
    for (const auto& [key, value] : object.items()) {
      if (!keys.contains(key)) fail(key, "unknown key of a chat template");
    }
  }
  void read(const char* key, std::string& value) const { read_as<std::string>(key, value, "text"); }
  void read(const char* key, bool& value) const { read_as<bool>(key, value, "true or false"); }
  void read(const char* key, std::vector<std::string>& values) const {
    read_as<std::vector<std::string>>(key, values, "a list of texts");
  }
  void read(const char* key, std::optional<std::string>& value) const {
    if (!object_.contains(key)) return;
    value.emplace();
    read(key, *value);
  }
  const json* inside(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw FormatError(file_, where_ + key, what);
  }

 private:
  template <class T>
  void read_as(const char* key, T& value, const char* wanted) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    try {
      value = found->get<T>();
    } catch (const json::exception&) {
      fail(key, fmt::format("{} expected, found {}", wanted, found->type_name()));
    }
  }

  const json& object_;
  std::string file_, where_;
};

// Cuts a literal at its tokens and appends it.
void append_literal(std::string_view literal, const std::vector<std::string>& tokens, bool response,
                    std::vector<ChatPart>& parts) {
  while (!literal.empty()) {
    size_t at = std::string_view::npos;
    std::string_view token;
    const auto look_for = [&](std::string_view candidate) {
      const size_t found = literal.find(candidate);
      // The longest of those that begin first.
      if (found < at || (found == at && found != std::string_view::npos && candidate.size() > token.size())) {
        at = found;
        token = candidate;
      }
    };
    for (const std::string& candidate : tokens) look_for(candidate);
    look_for("{bos}");
    look_for("{eos}");
    const std::string_view text = literal.substr(0, at);
    if (!text.empty()) parts.push_back({std::string(text), false, response});
    if (at == std::string_view::npos) return;
    parts.push_back({std::string(token), true, response});
    literal.remove_prefix(at + token.size());
  }
}

// What is part of the response is so up to the last token: the newline that ChatML writes after <|im_end|>
// is nobody's to say.
void append_end(const std::string& literal, const std::vector<std::string>& tokens,
                std::vector<ChatPart>& parts) {
  const size_t begin = parts.size();
  append_literal(literal, tokens, true, parts);
  const bool has_token = std::any_of(parts.begin() + static_cast<ptrdiff_t>(begin), parts.end(),
                                     [](const ChatPart& p) { return p.token; });
  for (size_t i = parts.size(); has_token && i > begin && !parts[i - 1].token; --i) {
    parts[i - 1].response = false;
  }
}

// As Python's str.strip().
bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

std::string stripped(const std::string& text) {
  auto begin = text.begin(), end = text.end();
  while (begin != end) {
    auto next = begin;
    if (!is_space(utf8::next(next, text.end()))) break;
    begin = next;
  }
  while (end != begin) {
    auto before = end;
    if (!is_space(utf8::prior(before, begin))) break;
    end = before;
  }
  return {begin, end};
}

}  // namespace

ChatTemplate ChatTemplate::from_json(const nlohmann::json& object, const std::string& file) {
  const Reader reader(object, file, "",
                      {"name", "base", "special_tokens", "begin", "system", "user", "user_with_input",
                       "assistant", "default_system", "fold_system", "trim", "alternate", "single_turn",
                       "first_line", "content_tokens", "add_bos", "separate"});
  ChatTemplate made;
  std::string base;
  reader.read("base", base);
  if (!base.empty()) made = built_in(base);
  made.name_ = base;
  reader.read("name", made.name_);
  if (made.name_.empty()) reader.fail("name", "a chat template needs a name");
  reader.read("special_tokens", made.special_tokens_);
  for (const std::string& token : made.special_tokens_) {
    if (token.empty()) reader.fail("special_tokens", "one of them is empty");
  }
  reader.read("begin", made.begin_);
  const auto read_turn = [&](const char* key, ChatTurn& turn, const char* third, std::string& text) {
    const nlohmann::json* found = reader.inside(key);
    if (!found) return false;
    std::set<std::string> keys{"prefix", "suffix"};
    if (third) keys.insert(third);
    const Reader inner(*found, file, std::string(key).append("."), keys);
    inner.read("prefix", turn.prefix);
    inner.read("suffix", turn.suffix);
    if (third) inner.read(third, text);
    return true;
  };
  std::string none;
  ChatTurn system = made.system_.value_or(ChatTurn{}), input = made.user_with_input_.value_or(ChatTurn{});
  if (read_turn("system", system, nullptr, none)) made.system_ = system;
  read_turn("user", made.user_, nullptr, none);
  if (read_turn("user_with_input", input, "between", made.before_input_)) made.user_with_input_ = input;
  read_turn("assistant", made.assistant_, "lead", made.lead_);
  reader.read("default_system", made.default_system_);
  if (made.default_system_ && !made.system_) reader.fail("default_system", "the template has no system turn");
  reader.read("fold_system", made.fold_system_);
  if (made.fold_system_ && made.system_) {
    // A user's message is text, and so is what is folded into it.
    std::vector<ChatPart> folded;
    append_literal(made.system_->prefix + made.system_->suffix, made.special_tokens_, false, folded);
    for (const ChatPart& part : folded) {
      if (part.token) reader.fail("system", "under fold_system it cannot hold " + part.text);
    }
  }
  reader.read("trim", made.trim_);
  reader.read("alternate", made.alternate_);
  reader.read("single_turn", made.single_turn_);
  reader.read("first_line", made.first_line_);
  reader.read("content_tokens", made.content_tokens_);
  reader.read("add_bos", made.takes_bos_);
  reader.read("separate", made.separate_);
  return made;
}

nlohmann::json ChatTemplate::json() const {
  const auto turn = [](const ChatTurn& t) {
    return nlohmann::json{{"prefix", t.prefix}, {"suffix", t.suffix}};
  };
  nlohmann::json made = {{"name", name_},
                         {"special_tokens", special_tokens_},
                         {"begin", begin_},
                         {"user", turn(user_)},
                         {"assistant", turn(assistant_)},
                         {"fold_system", fold_system_},
                         {"trim", trim_},
                         {"alternate", alternate_},
                         {"single_turn", single_turn_},
                         {"first_line", first_line_},
                         {"content_tokens", content_tokens_},
                         {"add_bos", takes_bos_},
                         {"separate", separate_}};
  made["assistant"]["lead"] = lead_;
  if (system_) made["system"] = turn(*system_);
  if (user_with_input_) {
    made["user_with_input"] = turn(*user_with_input_);
    made["user_with_input"]["between"] = before_input_;
  }
  if (default_system_) made["default_system"] = *default_system_;
  return made;
}

std::string ChatTemplate::hash() const {
  nlohmann::json content = json();
  content.erase("name");
  return fmt::format("{:016x}", stream_of(content.dump()));
}

void ChatTemplate::require_form(const std::vector<Message>& messages, bool generation_prompt) const {
  const auto refuse = [&](const std::string& why) {
    throw DataError(fmt::format("chat template {}: {}", name_, why));
  };
  size_t first = 0;
  if (!messages.empty() && messages[0].role == "system") {
    if (!system_) refuse("it has no place for a system message");
    first = 1;
  }
  const auto turns = std::ssize(messages) - static_cast<int64_t>(first);
  for (size_t i = first; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role == "system")
      refuse(fmt::format("message {} is a system message, which may only be the first", i + 1));
    if (role != "user" && role != "assistant") {
      refuse(
          fmt::format("message {} has the role \"{}\"; user, assistant and system are known", i + 1, role));
    }
    const char* wanted = (i - first) % 2 == 0 ? "user" : "assistant";
    if ((alternate_ || single_turn_) && role != wanted) {
      refuse(fmt::format("message {} is of {}, but user and assistant must take turns", i + 1, role));
    }
  }
  const char* last = generation_prompt ? "user" : "assistant";
  if (turns == 0 || messages.back().role != last) {
    refuse(fmt::format("the last message must be of {}", last));
  }
  if (single_turn_ && turns > 2) {
    refuse(fmt::format("it has room for one question and its answer, these are {} messages", turns));
  }
  if (fold_system_ && first == 1 && messages[1].role != "user") {
    refuse("a user's message must follow the system message");
  }
}

std::vector<ChatPart> ChatTemplate::parts(const std::vector<Message>& messages,
                                          bool generation_prompt) const {
  require_form(messages, generation_prompt);
  std::vector<ChatPart> parts;
  const auto literal = [&](const std::string& text, bool response = false) {
    append_literal(text, special_tokens_, response, parts);
  };
  const auto content = [&](const std::string& text, bool response) {
    if (!text.empty()) parts.push_back({text, false, response});
  };
  literal(begin_);
  std::string system;
  bool has_system = false;
  if (messages[0].role == "system") {
    system = messages[0].content;
    has_system = true;
  } else if (default_system_) {
    system = *default_system_;
    has_system = true;
  }
  if (has_system && !fold_system_) {
    literal(system_->prefix);
    content(trim_ ? stripped(system) : system, false);
    literal(system_->suffix);
  }
  for (Message message : messages) {
    if (message.role == "system") continue;
    if (message.role == "assistant") {
      literal(assistant_.prefix);
      literal(lead_, true);
      content(trim_ ? stripped(message.content) : message.content, true);
      append_end(assistant_.suffix, special_tokens_, parts);
      continue;
    }
    if (const size_t end = message.content.find('\n');
        first_line_ && message.input.empty() && end != std::string::npos) {
      message.input = message.content.substr(end + 1);
      message.content.resize(end);
    }
    const bool with_input = !message.input.empty();
    const ChatTurn& turn = with_input && user_with_input_ ? *user_with_input_ : user_;
    std::string text = message.content;
    if (with_input) text += before_input_ + message.input;
    if (has_system && fold_system_) text = system_->prefix + system + system_->suffix + text;
    if (fold_system_) has_system = false;
    literal(turn.prefix);
    content(trim_ ? stripped(text) : text, false);
    literal(turn.suffix);
  }
  if (generation_prompt) literal(assistant_.prefix);
  return parts;
}

std::string ChatTemplate::render(const std::vector<Message>& messages, bool generation_prompt,
                                 std::string_view bos, std::string_view eos) const {
  std::string text;
  for (const ChatPart& part : parts(messages, generation_prompt)) {
    text += !part.token            ? std::string_view(part.text)
            : part.text == "{bos}" ? bos
            : part.text == "{eos}" ? eos
                                   : std::string_view(part.text);
  }
  return text;
}

}  // namespace lethe
