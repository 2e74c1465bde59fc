// Rendering, held against what transformers renders with the models' own templates (tests/golden/chat).
#include "data/chat_template.h"

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

std::vector<Message> messages_of(const nlohmann::json& list) {
  std::vector<Message> messages;
  for (const auto& m : list) messages.push_back({m.at("role"), m.at("content")});
  return messages;
}

TEST(ChatTemplate, RendersWhatTheModelsTemplatesRender) {
  const auto cases =
      nlohmann::json::parse(read_bytes(std::string(LETHE_SOURCE_DIR) + "/tests/golden/chat/renderings.json"));
  ASSERT_EQ(cases.size(), 35u);
  for (const auto& c : cases) {
    const ChatTemplate chat = ChatTemplate::built_in(c.at("template"));
    const std::vector<Message> messages = messages_of(c.at("messages"));
    const bool prompt = messages.back().role == "user";
    const auto render = [&] {
      return chat.render(messages, prompt, c.at("bos").get<std::string>(), c.at("eos").get<std::string>());
    };
    if (c.at("text").is_null()) {
      EXPECT_THROW(render(), DataError) << c.dump();
    } else {
      EXPECT_EQ(render(), c.at("text").get<std::string>()) << c.at("template");
    }
  }
}

std::string rendered(const std::string& name, const Message& user, const std::string& answer = "") {
  const ChatTemplate chat = ChatTemplate::built_in(name);
  if (answer.empty()) return chat.render({user}, true, "<s>", "</s>");
  return chat.render({user, {"assistant", answer}}, false, "<s>", "</s>");
}

TEST(ChatTemplate, RendersTheInstructionPrompts) {
  const std::string alone =
      "Below is an instruction that describes a task. Write a response that appropriately completes the "
      "request.\n\n### Instruction:\nAdd 1\n\n### Response:";
  const std::string with_input =
      "Below is an instruction that describes a task, paired with an input that provides further context. "
      "Write a response that appropriately completes the request.\n\n### Instruction:\nAdd 1\n\n### Input:\n"
      "to 2\nor 3\n\n### Response:";
  EXPECT_EQ(rendered("alpaca", {"user", "Add 1"}), alone);
  EXPECT_EQ(rendered("alpaca", {"user", "Add 1"}, "2"), alone + "2</s>");
  EXPECT_EQ(rendered("alpaca", {"user", "Add 1", "to 2\nor 3"}), with_input);
  EXPECT_EQ(rendered("metamath", {"user", "Add 1"}), alone);
  EXPECT_EQ(rendered("metamath", {"user", "Add 1\nto 2\nor 3"}), with_input);
  EXPECT_EQ(rendered("magicoder", {"user", "Add 1"}, "2"),
            "You are an exceptionally intelligent coding assistant that consistently delivers accurate and "
            "reliable responses to user instructions.\n\n@@ Instruction\nAdd 1\n\n@@ Response\n2</s>");
  EXPECT_EQ(rendered("plain", {"user", "Q: 1?\nA:"}, " 2"), "Q: 1?\nA: 2</s>");
  // A template without a place for it puts the input below the instruction.
  EXPECT_EQ(
      rendered("magicoder", {"user", "Add 1", "to 2"}).find("@@ Instruction\nAdd 1\nto 2\n\n@@ Response") ==
          std::string::npos,
      false);
}

std::vector<std::string> responses(const std::vector<ChatPart>& parts) {
  std::vector<std::string> found;
  for (const ChatPart& part : parts) {
    if (part.response) found.push_back(part.text);
  }
  return found;
}

TEST(ChatTemplate, AResponseEndsWithItsLastToken) {
  const std::vector<Message> two = {{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}};
  using Texts = std::vector<std::string>;
  EXPECT_EQ(responses(ChatTemplate::built_in("chatml").parts(two, false)),
            (Texts{"b", "<|im_end|>", "d", "<|im_end|>"}));
  EXPECT_EQ(responses(ChatTemplate::built_in("llama-2").parts(two, false)),
            (Texts{" ", "b", " ", "{eos}", " ", "d", " ", "{eos}"}));
  EXPECT_EQ(responses(ChatTemplate::built_in("alpaca").parts({{"user", "a"}, {"assistant", "b"}}, false)),
            (Texts{"b", "{eos}"}));
}

TEST(ChatTemplate, RefusesConversationsItHasNoFormFor) {
  const auto why = [](const char* name, const std::vector<Message>& messages, bool prompt = false) {
    const ChatTemplate chat = ChatTemplate::built_in(name);
    return std::string(error_of<DataError>([&] { chat.parts(messages, prompt); }).what());
  };
  const auto expect_in = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const Message system{"system", "s"}, user{"user", "u"}, assistant{"assistant", "a"};
  expect_in(why("mistral", {system, user, assistant}), "no place for a system message");
  expect_in(why("alpaca", {user, assistant, user, assistant}), "one question and its answer");
  expect_in(why("llama-2", {user, user, assistant}), "take turns");
  expect_in(why("chatml", {user, system, assistant}), "message 2 is a system message");
  expect_in(why("chatml", {user, {"tool", "t"}, assistant}), "the role \"tool\"");
  expect_in(why("chatml", {user}), "last message must be of assistant");
  expect_in(why("chatml", {user, assistant}, true), "last message must be of user");
  expect_in(why("llama-2", {system, assistant}), "take turns");
  expect_in(why("chatml", {}), "last message");
  expect_in(why("chatml", {system}), "last message");
}

TEST(ChatTemplate, IsReadFromAFilesKeys) {
  const ChatTemplate own = ChatTemplate::from_json(nlohmann::json::parse(R"({
    "name": "own", "special_tokens": ["<a>", "<ab>"], "begin": "{bos}", "user": {"prefix": "Q:", "suffix": "<ab>"},
    "assistant": {"prefix": "A:", "suffix": "<a>{eos}\n"}})"),
                                                   "own.json");
  EXPECT_EQ(own.render({{"user", "{eos}<a>"}, {"assistant", "y"}}, false, "^", "$"),
            "^Q:{eos}<a><ab>A:y<a>$\n");
  const auto parts = own.parts({{"user", "<a>"}, {"assistant", "y"}}, false);
  ASSERT_EQ(parts.size(), 9u);
  EXPECT_FALSE(parts[2].token);  // a message's own "<a>" is text
  EXPECT_TRUE(parts[3].token);
  EXPECT_EQ(parts[3].text, "<ab>");  // the longer of two that begin together
  EXPECT_EQ(ChatTemplate::from_json(own.json(), "again").hash(), own.hash());

  const ChatTemplate qwen = ChatTemplate::from_json(
      nlohmann::json::parse(R"({"name": "q", "base": "chatml", "default_system": "Be good."})"), "q.json");
  EXPECT_EQ(qwen.render({{"user", "u"}}, true, "", ""),
            "<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_NE(qwen.hash(), ChatTemplate::built_in("chatml").hash());
}

TEST(ChatTemplate, TheHashIsOfWhatIsRenderedNotOfTheName) {
  auto json = ChatTemplate::built_in("llama-3").json();
  json["name"] = "another";
  EXPECT_EQ(ChatTemplate::from_json(json, "f"), ChatTemplate::built_in("llama-3"));
  json["trim"] = false;
  EXPECT_FALSE(ChatTemplate::from_json(json, "f") == ChatTemplate::built_in("llama-3"));
  std::vector<std::string> hashes;
  for (const std::string& name : ChatTemplate::names()) {
    const std::string hash = ChatTemplate::built_in(name).hash();
    EXPECT_EQ(std::count(hashes.begin(), hashes.end(), hash), 0) << name;
    hashes.push_back(hash);
  }
}

TEST(ChatTemplate, NamesFileAndKeyOfWhatIsWrong) {
  const auto where = [](const char* text) {
    const auto error =
        error_of<FormatError>([&] { ChatTemplate::from_json(nlohmann::json::parse(text), "t.yaml"); });
    EXPECT_EQ(error.file, "t.yaml");
    return error.where;
  };
  EXPECT_EQ(where(R"({"name": "n", "asistant": {}})"), "asistant");
  EXPECT_EQ(where(R"({"name": "n", "assistant": {"sufix": ""}})"), "assistant.sufix");
  EXPECT_EQ(where(R"({"name": "n", "assistant": {"suffix": 1}})"), "assistant.suffix");
  EXPECT_EQ(where(R"({"name": "n", "user": "x"})"), "user.");
  EXPECT_EQ(where(R"({"trim": true})"), "name");
  EXPECT_EQ(where(R"({"name": "n", "trim": "yes"})"), "trim");
  EXPECT_EQ(where(R"({"name": "n", "special_tokens": [""]})"), "special_tokens");
  EXPECT_EQ(where(R"({"name": "n", "default_system": "s"})"), "default_system");
  EXPECT_EQ(where(R"({"name": "n", "fold_system": true, "system": {"prefix": "{bos}"}})"), "system");
  EXPECT_THROW(ChatTemplate::built_in("lama-2"), ConfigError);
}

}  // namespace
}  // namespace lethe
