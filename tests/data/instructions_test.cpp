#include "data/instructions.h"

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/data/compress.h"
#include "tests/data/files.h"

namespace lethe {
namespace {

std::string shown(const std::vector<Message>& messages) {
  std::string text;
  for (const Message& m : messages) {
    text += m.role + "=" + m.content + (m.input.empty() ? "" : "+" + m.input) + ";";
  }
  return text;
}

std::string read(const std::string& json, const InstructionOptions& options = {}) {
  return shown(read_conversation(nlohmann::json::parse(json), options, "f.jsonl", 3));
}

TEST(Instructions, AreToldByTheirKeys) {
  const std::string expected = "user=q;assistant=a;";
  for (const char* record : {
           R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})",
           R"({"prompt": "q", "response": "a"})",
           R"({"prompt": "q", "completion": "a", "id": 7})",
           R"({"instruction": "q", "output": "a"})",
           R"({"instruction": "q", "input": "", "output": "a"})",
           R"({"instruction": "q", "response": "a"})",
           R"({"query": "q", "response": "a", "type": "MATH"})",
           R"({"problem": "q", "solution": "a"})",
           R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})",
           R"({"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "q"},
               {"from": "gpt", "value": "a"}]})",
       }) {
    EXPECT_EQ(read(record), expected) << record;
  }
  EXPECT_EQ(read(R"({"instruction": "q", "input": "i", "output": "a"})"), "user=q+i;assistant=a;");
  EXPECT_EQ(read(R"({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"},
                     {"from": "gpt", "value": "a"}, {"from": "human", "value": "r"}, {"from": "gpt", "value": "b"}]})"),
            "system=s;user=q;assistant=a;user=r;assistant=b;");
  const InstructionOptions columns{.prompt_key = "question", .response_key = "answer"};
  EXPECT_EQ(read(R"({"question": "q", "answer": "a", "prompt": "not this"})", columns), expected);
}

struct BadRecord {
  std::string json, words;
  InstructionOptions options = {};
};

TEST(Instructions, NameFileLineAndKeyOfWhatIsWrong) {
  const BadRecord cases[] = {
      {R"({"question": "q", "answer": "a"})", "its keys (answer, question)"},
      {R"([1])", "a JSON object expected, found array"},
      {R"({"prompt": "q"})", R"(no key "response" or "completion")"},
      {R"({"prompt": ["q"], "response": "a"})", R"("prompt" must be text, found array)"},
      {R"({"instruction": "q", "input": null, "output": "a"})", R"("input" must be text, found null)"},
      {R"({"messages": []})", "found an empty one"},
      {R"({"messages": "x"})", "found string"},
      {R"({"messages": [7]})", R"("messages[0]" must be an object)"},
      {R"({"messages": [{"role": "user"}]})", R"(no key "messages[0].content")"},
      {R"({"messages": [{"role": "user", "content": null}]})", R"("messages[0].content" must be text)"},
      {R"({"messages": [{"role": "tool", "content": "x"}]})", R"("messages[0].role" must be system, user)"},
      {R"({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]})",
       R"("messages[1].role" is user, as that of the message before)"},
      {R"({"messages": [{"role": "assistant", "content": "a"}]})", "two or more"},
      {R"({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]})",
       "must end with the assistant's"},
      {R"({"conversations": [{"from": "human", "value": "q"}]})", "must end with gpt's answer"},
      {R"({"conversations": [{"from": "gpt", "value": "q"}]})", "must end with gpt's answer"},
      {R"({"conversations": [{"from": "gpt", "value": "x"}, {"from": "gpt", "value": "y"}]})",
       R"("conversations[1].from" is gpt)"},
      {R"({"conversations": [{"from": "bing", "value": "q"}]})", R"(is "bing")"},
      {R"({"question": "q"})", R"(no key "answer")", {.prompt_key = "question", .response_key = "answer"}},
      {R"({"prompt": "q", "response": "a"})", R"(no key "messages")", {.format = "messages"}},
  };
  for (const BadRecord& bad : cases) {
    const auto error = error_of<FormatError>([&] { read(bad.json, bad.options); });
    EXPECT_EQ(error.file, "f.jsonl");
    EXPECT_EQ(error.where, "line 3");
    EXPECT_NE(std::string(error.what()).find(bad.words), std::string::npos) << error.what();
  }
}

TEST(Instructions, ComeFromLinesAndArraysCompressedOrNot) {
  const Folder folder;
  const std::string one = R"({"prompt": "q", "response": "a"})",
                    two = R"({"instruction": "i", "output": "o"})";
  folder.write("a.jsonl.gz", gzip_of(one + "\n" + two));
  folder.write("b.json", "[" + one + ",\n" + two + "]");
  std::vector<std::string> found;
  const Corpus corpus({.paths = {folder / "a.jsonl.gz", folder / "b.json"}});
  visit_conversations(corpus, {}, [&](Conversation&& c) {
    found.push_back(shown(c.messages) + std::to_string(c.line) + (c.file == &corpus.files()[0] ? "a" : "b"));
  });
  EXPECT_EQ(found, (std::vector<std::string>{"user=q;assistant=a;1a", "user=i;assistant=o;2a",
                                             "user=q;assistant=a;1b", "user=i;assistant=o;2b"}));
  EXPECT_THROW(
      visit_conversations(Corpus({.paths = {folder.write("e.jsonl", "\n")}}), {}, [](Conversation&&) {}),
      DataError);
}

TEST(Instructions, AreToldFromTexts) {
  const Folder folder;
  const std::string text = folder.write("t.jsonl", R"({"text": "x"})"),
                    both = folder.write("b.jsonl", R"({"text": "x", "code": "y"})"),
                    prompt = folder.write("p.json", R"([{"prompt": "x", "response": "y"}])"),
                    plain = folder.write("p.txt", R"({"prompt": "x"})");
  EXPECT_FALSE(holds_instructions(text, "text", {}));
  EXPECT_TRUE(holds_instructions(text, "body", {}));
  EXPECT_TRUE(holds_instructions(prompt, "text", {}));
  EXPECT_FALSE(holds_instructions(plain, "text", {}));
  EXPECT_FALSE(holds_instructions(folder.path(), "text", {}));
  EXPECT_FALSE(holds_instructions(both, "text", {}));
  const InstructionOptions columns{.prompt_key = "text", .response_key = "code"};
  EXPECT_TRUE(holds_instructions(both, "text", columns));
}

}  // namespace
}  // namespace lethe
