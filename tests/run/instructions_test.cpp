// Instructions from their file to a trained model, by way of the command.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"
#include "tools/run/chat_files.h"

namespace lethe::test {
namespace {

const char* const kTemplate =
    "name: verse\nbegin: '{bos}'\nuser: {prefix: '. ', suffix: ' and'}\nassistant: {lead: ' ', suffix: "
    "'{eos}'}\n";

// A run on 40 questions of the small texts' words, beside plain text.
class Instructions : public testing::Test {
 protected:
  Instructions() {
    write_text(folder_ / "verse.yaml", kTemplate);
    write_text(folder_ / "verse.json", R"({"name": "verse", "base": "plain"})");
    std::string lines;
    for (int i = 0; i < 40; ++i) {
      const std::string question = i % 2 == 0 ? "the old river" : "slow bird";
      lines +=
          nlohmann::json{{"question", question}, {"answer", std::string(i % 3, 's') + "tone"}}.dump() + "\n";
    }
    write_text(folder_ / "questions.jsonl", lines);
  }

  std::vector<std::string> command(std::vector<std::string> words,
                                   const std::vector<std::string>& more = {}) const {
    const std::string file = write_text(folder_ / "config.yaml", small_config(folder_.path()));
    words.insert(words.begin() + (words[0] == "data" ? 2 : 1), file);
    std::vector<std::string> sets = {
        "data.train=" + folder_ / "questions.jsonl", "data.chat_template=" + folder_ / "verse.yaml",
        "data.prompt_key=question", "data.response_key=answer", "data.sequence_length=48"};
    sets.insert(sets.end(), more.begin(), more.end());
    for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
    return words;
  }

  Folder folder_;
};

TEST_F(Instructions, TrainPlanAndResume) {
  const CommandResult plan = lethe_command(command({"plan"}));
  ASSERT_EQ(plan.status, 0) << plan.err;
  expect_parts(plan.out, {"40 documents", "chat    template verse, hash "});

  const CommandResult done = lethe_command(command({"train"}, {"train.duration=20 steps"}));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, folder_ / "run/model\n");
  // It learns the few answers there are: the loss falls well below its beginning.
  std::vector<double> losses;
  for (const std::string& line : timeless_metrics(folder_ / "run/metrics.jsonl")) {
    const auto record = nlohmann::json::parse(line);
    if (record.at("kind") == "step") losses.push_back(record.at("loss"));
  }
  ASSERT_EQ(losses.size(), 20u);
  EXPECT_LT(losses.back(), 0.5 * losses.front());

  // The model has its template beside it, and another one is refused.
  const ChatTemplate chat = open_chat_template(folder_ / "verse.yaml");
  EXPECT_EQ(chat_template_of(folder_ / "run/model", ""), chat);
  EXPECT_EQ(chat_template_of(folder_ / "run/model", folder_ / "verse.yaml"), chat);
  const std::string why = message_of<ConfigError>([&] { chat_template_of(folder_ / "run/model", "plain"); });
  expect_parts(why, {"was trained with verse", chat.hash(), "asked for is plain"});
  EXPECT_THROW(chat_template_of(folder_.path(), ""), ConfigError);

  const CommandResult resumed = lethe_command(command({"train", "--resume"}, {"train.duration=24 steps"}));
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  // The same ids under another name go on; other ids do not.
  const CommandResult other = lethe_command(command(
      {"train", "--resume"}, {"train.duration=28 steps", "data.chat_template=" + folder_ / "verse.json"}));
  EXPECT_EQ(other.status, 2);
  expect_parts(other.err, {"state.json"});
}

TEST_F(Instructions, AreTakenBesideTexts) {
  const CommandResult shown = lethe_command(
      command({"data", "show", "--json", "--sequences", "0"},
              {"data.train=[" + folder_ / "questions.jsonl" + ", " + small_texts() + "/verses.jsonl]",
               "data.mixing_temperature=1"}));
  ASSERT_EQ(shown.status, 0) << shown.err;
  const auto sources = nlohmann::json::parse(shown.out).at("sources");
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_TRUE(sources[0].at("instructions"));
  EXPECT_FALSE(sources[1].at("instructions"));
  // At temperature 1 a source's share is its share of the tokens; that is a quotient of whole numbers.
  const double tokens = sources[0].at("tokens").get<double>() + sources[1].at("tokens").get<double>();
  EXPECT_NEAR(sources[0].at("share").get<double>(), sources[0].at("tokens").get<double>() / tokens, 1e-12);
}

TEST_F(Instructions, AreShownWithWhatIsLearned) {
  const CommandResult one = lethe_command(command({"data", "show", "--example", "1"}));
  ASSERT_EQ(one.status, 0) << one.err;
  expect_parts(one.out,
               {"example 1: document 1 of ", "the old river and[[ tone]][[</s>]]", "40 conversations"});
  EXPECT_EQ(one.out.find('\x1b'), std::string::npos);  // no colours where nobody sees them
  const CommandResult json = lethe_command(command({"data", "show", "--json", "--sequences", "3"}));
  ASSERT_EQ(json.status, 0) << json.err;
  const auto all = nlohmann::json::parse(json.out);
  ASSERT_EQ(all.at("shown").size(), 3u);
  for (const auto& sequence : all.at("shown")) {
    int64_t columns = sequence.at("padding");
    for (const auto& document : sequence.at("documents")) {
      columns += document.at("tokens").get<int64_t>();
      std::string text, learned;
      for (const auto& part : document.at("parts")) {
        text += part.at("text").get<std::string>();
        if (part.at("learned")) learned += part.at("text").get<std::string>();
      }
      EXPECT_EQ(learned, text.substr(text.find(" and") + 4)) << text;
    }
    EXPECT_EQ(columns, 48);
  }
  const CommandResult beyond = lethe_command(command({"data", "show", "--example", "41"}));
  EXPECT_EQ(beyond.status, 2);
  expect_parts(beyond.err, {"41 is beyond the 40 examples there are"});
}

TEST_F(Instructions, RefuseWhatCannotBeTrainedOn) {
  const struct {
    std::vector<std::string> sets, words;
  } cases[] = {
      {{"data.sequence_length=4"}, {"of 40 examples are longer than data.sequence_length", "drop or cut"}},
      {{"data.chat_template=verse"}, {"data.chat_template", "neither a file nor one of llama-2"}},
      {{"data.chat_template=chatml"}, {"data.chat_template", "<|im_"}},
      {{"data.packing=stream"}, {"data.packing", "must be pack"}},
      {{"data.document_mask=false"}, {"data.document_mask", "must be true"}},
      {{"data.response_key="}, {"data.response_key", "given together"}},
      {{"data.prompt_key=", "data.response_key="}, {"questions.jsonl: line 1", "(answer, question)"}},
      {{"data.train=" + small_texts() + "/verses.jsonl", "data.prompt_key=", "data.response_key="},
       {"data.chat_template", "has the key \"text\""}},
      {{"data.chat_template="}, {"data.prompt_key", "data.chat_template must be set"}},
  };
  for (const auto& c : cases) {
    const CommandResult refused = lethe_command(command({"train"}, c.sets));
    EXPECT_EQ(refused.status, 2) << c.sets[0];
    expect_parts(refused.err, c.words);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "run")) << c.sets[0];
    EXPECT_FALSE(std::filesystem::exists(folder_ / "cache")) << c.sets[0];
  }
}

TEST(ChatFiles, NameWhatIsWrong) {
  const Folder folder;
  EXPECT_EQ(open_chat_template("chatml").name(), "chatml");
  EXPECT_THROW(open_chat_template(write_text(folder / "a.yaml", "name: [")), FormatError);
  EXPECT_THROW(open_chat_template(write_text(folder / "b.yaml", "just words")), FormatError);
  EXPECT_THROW(open_chat_template(write_text(folder / "c.json", "{\"name\": \"n\", \"usr\": {}}")),
               FormatError);
  write_chat_template(folder.path(), ChatTemplate::built_in("llama-2"));
  std::string written = read_bytes(folder / "lethe_chat.json");
  EXPECT_EQ(*read_chat_template(folder.path()), ChatTemplate::built_in("llama-2"));
  written.replace(written.find("[INST] "), 7, "[INST]  ");
  write_text(folder / "lethe_chat.json", written);
  EXPECT_EQ(
      message_of<FormatError>([&] { read_chat_template(folder.path()); }).find("hash") == std::string::npos,
      false);
}

}  // namespace
}  // namespace lethe::test
