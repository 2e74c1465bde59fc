#include "data/instructions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/json_records.h"
#include "data/text_file.h"
#include "engine/error.h"

namespace lethe {
namespace {

using nlohmann::json;

// A record with its place, for messages.
class Record {
 public:
  Record(const json& value, const std::string& file, int64_t line) : value_(value), file_(file), line_(line) {
    if (!value.is_object()) fail(fmt::format("a JSON object expected, found {}", value.type_name()));
  }

  bool has(const std::string& key) const { return value_.contains(key); }
  const std::string& text(const std::string& key) const { return text_in(value_, key, ""); }
  // The text of `key` in `object`, which stands at `where`.
  const std::string& text_in(const json& object, const std::string& key, const std::string& where) const {
    const auto found = object.find(key);
    if (found == object.end()) fail(fmt::format("no key \"{}{}\"", where, key));
    if (!found->is_string()) {
      fail(fmt::format("\"{}{}\" must be text, found {}", where, key, found->type_name()));
    }
    return found->get_ref<const std::string&>();
  }
  // The objects of a list that must not be empty.
  const json& list(const std::string& key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) fail(fmt::format("no key \"{}\"", key));
    if (!found->is_array() || found->empty()) {
      fail(fmt::format("\"{}\" must be a list of messages, found {}", key,
                       found->is_array() ? "an empty one" : found->type_name()));
    }
    for (size_t i = 0; i < found->size(); ++i) {
      if (!(*found)[i].is_object()) {
        fail(fmt::format("\"{}[{}]\" must be an object, found {}", key, i, (*found)[i].type_name()));
      }
    }
    return *found;
  }
  std::string first_of(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      if (has(key)) return key;
    }
    fail(fmt::format("no key \"{}\"", fmt::join(keys, "\" or \"")));
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> names;
    for (const auto& item : value_.items()) names.push_back(item.key());
    return names;
  }
  [[noreturn]] void fail(const std::string& what) const { throw FormatError(file_, at_line(line_), what); }

 private:
  const json& value_;
  std::string file_;
  int64_t line_;
};

std::vector<Message> pair(const std::string& prompt, const std::string& response) {
  return {{"user", prompt}, {"assistant", response}};
}

std::vector<Message> messages_of(const Record& record) {
  const json& list = record.list("messages");
  std::vector<Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("messages[{}].", i);
    Message message{record.text_in(list[i], "role", where), record.text_in(list[i], "content", where)};
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      record.fail(
          fmt::format("\"{}role\" must be system, user or assistant, is \"{}\"", where, message.role));
    }
    if (!messages.empty() && messages.back().role == message.role) {
      record.fail(fmt::format("\"{}role\" is {}, as that of the message before", where, message.role));
    }
    messages.push_back(std::move(message));
  }
  if (messages.back().role != "assistant") {
    record.fail(
        fmt::format("\"messages\" must end with the assistant's, ends with {}", messages.back().role));
  }
  if (messages.size() < 2) record.fail("\"messages\" must hold two or more, holds 1");
  return messages;
}

// A leading answer without a question, which ShareGPT's exports have, is passed over.
std::vector<Message> sharegpt_of(const Record& record) {
  const json& list = record.list("conversations");
  std::vector<Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("conversations[{}].", i);
    const std::string& from = record.text_in(list[i], "from", where);
    const bool human = from == "human" || from == "user", gpt = from == "gpt" || from == "assistant";
    if (!human && !gpt && from != "system") {
      record.fail(fmt::format("\"{}from\" must be human, gpt or system, is \"{}\"", where, from));
    }
    const char* role = human ? "user" : gpt ? "assistant" : "system";
    const bool opens = messages.empty() || messages.back().role == "system";
    if (gpt && opens && i == messages.size()) continue;
    const bool fits = human ? opens || messages.back().role == "assistant"
                      : gpt ? !opens && messages.back().role == "user"
                            : messages.empty() && i == 0;
    if (!fits) record.fail(fmt::format("\"{}from\" is {} where another must speak", where, from));
    messages.push_back({role, record.text_in(list[i], "value", where)});
  }
  if (messages.empty() || messages.back().role != "assistant") {
    record.fail("\"conversations\" must end with gpt's answer to a question");
  }
  return messages;
}

std::vector<Message> alpaca_of(const Record& record) {
  std::vector<Message> messages =
      pair(record.text("instruction"), record.text(record.first_of({"output", "response"})));
  if (record.has("input")) messages[0].input = record.text("input");
  return messages;
}

std::string format_of(const Record& record, const InstructionOptions& options) {
  if (options.format != "auto") return options.format;
  if (!options.prompt_key.empty()) return "columns";
  if (record.has("messages")) return "messages";
  if (record.has("conversations")) return "sharegpt";
  if (record.has("prompt")) return "prompt";
  if (record.has("instruction")) return "alpaca";
  if (record.has("query") && record.has("response")) return "query";
  if (record.has("problem") && record.has("solution")) return "problem";
  record.fail(fmt::format(
      "its keys ({}) are of no shape that is known: messages, conversations, prompt and response, "
      "instruction and output; name others with data.prompt_key and data.response_key",
      fmt::join(record.keys(), ", ")));
}

}  // namespace

std::vector<Message> read_conversation(const json& value, const InstructionOptions& options,
                                       const std::string& file, int64_t line) {
  const Record record(value, file, line);
  const std::string format = format_of(record, options);
  if (format == "messages") return messages_of(record);
  if (format == "sharegpt") return sharegpt_of(record);
  if (format == "alpaca") return alpaca_of(record);
  if (format == "query") return pair(record.text("query"), record.text("response"));
  if (format == "problem") return pair(record.text("problem"), record.text("solution"));
  if (format == "columns") return pair(record.text(options.prompt_key), record.text(options.response_key));
  return pair(record.text("prompt"), record.text(record.first_of({"response", "completion"})));
}

void visit_conversations(const Corpus& corpus, const InstructionOptions& options,
                         const std::function<void(Conversation&&)>& visitor) {
  bool any = false;
  for (const SourceFile& file : corpus.files()) {
    for (JsonRecords records(file.path); records.next();) {
      any = true;
      const int64_t line = records.line();
      visitor({read_conversation(records.record(), options, file.path, line), &file, line});
    }
  }
  if (!any) throw DataError(corpus.description() + ": no record in it");
}

bool holds_instructions(const std::string& path, const std::string& text_key,
                        const InstructionOptions& options) {
  if (!is_jsonl(path) && !without_compression(path).ends_with(".json")) return false;
  JsonRecords records(path);
  if (!records.next()) return true;  // empty: refused when it is read
  return !records.record().contains(options.prompt_key.empty() ? text_key : options.prompt_key) ==
         options.prompt_key.empty();
}

}  // namespace lethe
