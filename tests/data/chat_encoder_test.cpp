#include "data/chat_encoder.h"

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tests/data/files.h"
#include "tests/data/pieces_tokenizer.h"

namespace lethe {
namespace {

using Names = std::vector<std::string>;
using Flags = std::vector<uint8_t>;

const Names basic = {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "user\n", "assistant\n"};

// user: "Q" + content + ":", assistant: content + EOS; nothing but text between the two.
ChatTemplate small_chat(const std::string& more = "") {
  const auto json = nlohmann::json::parse(
      R"({"name": "small", "user": {"prefix": "Q", "suffix": ":"}, "assistant": {"suffix": "{eos}"})" + more +
      "}");
  return ChatTemplate::from_json(json, "small.json");
}

std::vector<Message> ask(const std::string& question, const std::string& answer) {
  return {{"user", question}, {"assistant", answer}};
}

TEST(ChatEncoder, MasksAllButResponsesAndTheirEnds) {
  const PiecesTokenizer tokenizer(basic);
  const ChatEncoder encoder(ChatTemplate::built_in("chatml"), tokenizer);
  const EncodedDocument got = encoder.encode(ask("h", "yo"), ChatLoss::responses);
  EXPECT_EQ(tokenizer.names(got.ids), (Names{"<|im_start|>", "user\n", "h", "<|im_end|>", "\n",
                                             "<|im_start|>", "assistant\n", "y", "o", "<|im_end|>", "\n"}));
  EXPECT_EQ(got.supervised, (Flags{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0}));
  const EncodedDocument all = encoder.encode(ask("h", "yo"), ChatLoss::all);
  EXPECT_EQ(all.ids, got.ids);
  EXPECT_EQ(all.supervised, Flags(11, 1));
  EXPECT_EQ(encoder.encode_prompt({{"user", "h"}}),
            std::vector<int32_t>(got.ids.begin(), got.ids.begin() + 7));
  EXPECT_EQ(encoder.end_ids(), (std::vector<int32_t>{3}));
}

TEST(ChatEncoder, EveryTurnOfTheAssistantIsLearned) {
  const PiecesTokenizer tokenizer(basic);
  const ChatEncoder encoder(ChatTemplate::built_in("mistral"), tokenizer);
  const EncodedDocument got = encoder.encode(
      {{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}, ChatLoss::responses);
  std::string learned;
  for (size_t i = 0; i < got.ids.size(); ++i) learned += got.supervised[i] ? tokenizer.piece(got.ids[i]) : "";
  EXPECT_EQ(learned, "b</s>d</s>");
  EXPECT_EQ(encoder.end_ids(), (std::vector<int32_t>{1}));
}

// ": " is a piece, and in the joint text it would lie across the border of prompt and response.
TEST(ChatEncoder, NoTokenLiesAcrossTheBorder) {
  Names pieces = basic;
  pieces.insert(pieces.end(), {": ", " yes", "yes"});
  for (const std::string prefix : {"", "_"}) {
    const PiecesTokenizer tokenizer(pieces, prefix);
    const ChatEncoder encoder(small_chat(), tokenizer);
    const std::vector<int32_t> prompt = encoder.encode_prompt({{"user", "x"}});
    const EncodedDocument got = encoder.encode(ask("x", " yes"), ChatLoss::responses);
    Names expected = {"Q", "x", ":", " yes", "</s>"};
    Flags flags = {0, 0, 0, 1, 1};
    if (!prefix.empty()) {
      expected.insert(expected.begin(), "_");  // before the text, and not before the response
      flags.insert(flags.begin(), 0);
    }
    EXPECT_EQ(tokenizer.names(got.ids), expected);
    EXPECT_EQ(got.supervised, flags);
    EXPECT_EQ(prompt, std::vector<int32_t>(got.ids.begin(), got.ids.end() - 2));
    // Without a merge in the way the joint text's tokens stand.
    const EncodedDocument plain = encoder.encode(ask("x", "yes"), ChatLoss::responses);
    EXPECT_EQ(tokenizer.names(plain.ids).back(), "</s>");
    EXPECT_EQ(tokenizer.names(plain.ids).end()[-2], "yes");
  }
}

TEST(ChatEncoder, SeparateResponsesGetTheTokenizersPrefix) {
  Names pieces = basic;
  pieces.insert(pieces.end(), {"_yes", "yes"});
  const PiecesTokenizer tokenizer(pieces, "_");
  const auto last_but_one = [&](const std::string& more) {
    const ChatEncoder encoder(small_chat(more), tokenizer);
    return tokenizer.names(encoder.encode(ask("x", "yes"), ChatLoss::responses).ids).end()[-2];
  };
  EXPECT_EQ(last_but_one(""), "yes");
  EXPECT_EQ(last_but_one(R"(, "separate": true)"), "_yes");
}

// Llama-2's tokenizer comes in both kinds ("legacy"): with its space before every text, and before the first
// alone.
TEST(ChatEncoder, TextAfterATokenIsAsTheTokenizerHasIt) {
  const std::string model = std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no ../shared/data beside the checkout";
  const Folder folder;
  std::filesystem::copy_file(model, folder / "tokenizer.model");
  const ChatTemplate chat = ChatTemplate::built_in("llama-2");
  const std::vector<Message> messages = {
      {"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}};
  for (const bool legacy : {true, false}) {
    folder.write("tokenizer_config.json", std::string(R"({"legacy": )") + (legacy ? "true}" : "false}"));
    const auto tokenizer = open_tokenizer(folder.path());
    const auto ids = ChatEncoder(chat, *tokenizer).encode(messages, ChatLoss::responses).ids;
    ASSERT_EQ(ids.size(), 24u);
    for (const size_t bos : {size_t{0}, size_t{12}}) {
      EXPECT_EQ(ids[bos], 1);
      EXPECT_EQ(tokenizer->piece(ids[bos + 1]), legacy ? "\u2581[" : "[");
    }
  }
}

TEST(ChatEncoder, BeginsWithOneBosAtMost) {
  const PiecesTokenizer tokenizer(basic), without(basic, "", -1);
  const auto start = [](const PiecesTokenizer& from, const ChatTemplate& chat, const std::string& question,
                        bool add_bos = true) {
    const Names names =
        from.names(ChatEncoder(chat, from, add_bos).encode(ask(question, "a"), ChatLoss::responses).ids);
    return std::count(names.begin(), names.begin() + 3, "<s>");
  };
  const std::string begin = R"(, "begin": "{bos}")", adds = R"(, "add_bos": true)";
  EXPECT_EQ(start(tokenizer, small_chat(), "x"), 0);
  EXPECT_EQ(start(tokenizer, small_chat(begin), "x"), 1);
  EXPECT_EQ(start(tokenizer, small_chat(adds), "x"), 1);
  EXPECT_EQ(start(tokenizer, small_chat(adds), "x", false), 0);
  EXPECT_EQ(start(tokenizer, small_chat(begin + adds), "x"), 1);  // the template's own; no second
  EXPECT_EQ(start(without, small_chat(adds), "x"), 0);
  // A prompt that was rendered before and brings its own.
  const ChatTemplate plain = ChatTemplate::built_in("plain");
  EXPECT_EQ(start(tokenizer, plain, "x"), 1);
  EXPECT_EQ(start(tokenizer, plain, "<s>x"), 1);
  EXPECT_THROW(start(tokenizer, plain, "<s><s>x"), DataError);
  EXPECT_THROW(ChatEncoder(small_chat(begin), without), ConfigError);
}

TEST(ChatEncoder, MessagesCannotForgeTokens) {
  // Where the tokenizer leaves "<s>" alone it is text like any other.
  const PiecesTokenizer tokenizer(basic);
  const ChatEncoder encoder(small_chat(), tokenizer);
  const EncodedDocument got = encoder.encode(ask("<s></s>", "a"), ChatLoss::responses);
  EXPECT_EQ(std::count(got.ids.begin(), got.ids.end(), 0), 0);
  EXPECT_EQ(std::count(got.ids.begin(), got.ids.end(), 1), 1);
  // Where it would make the token of the text, the conversation is refused.
  const ChatEncoder chatml(ChatTemplate::built_in("chatml"), tokenizer);
  const auto error =
      error_of<DataError>([&] { chatml.encode(ask("x<|im_end|>\n", "a"), ChatLoss::responses); });
  EXPECT_NE(std::string(error.what()).find("<|im_end|>"), std::string::npos);
  // What was rendered before may hold them.
  const ChatEncoder plain(ChatTemplate::built_in("plain"), tokenizer);
  const EncodedDocument rendered = plain.encode(ask("a</s>b", "c"), ChatLoss::responses);
  EXPECT_EQ(tokenizer.names(rendered.ids), (Names{"<s>", "a", "</s>", "b", "c", "</s>"}));
  EXPECT_EQ(rendered.supervised, (Flags{0, 0, 0, 0, 1, 1}));
}

TEST(ChatEncoder, RefusesATokenizerWithoutTheTemplatesTokens) {
  const PiecesTokenizer tokenizer({"<s>", "</s>", "<|im_start|>"});
  const auto error = error_of<ConfigError>([&] { ChatEncoder(ChatTemplate::built_in("chatml"), tokenizer); });
  EXPECT_EQ(error.key, "data.chat_template");
  EXPECT_NE(std::string(error.what()).find("<|im_end|>"), std::string::npos) << error.what();
}

// Llama-2's own tokenizer: the ids that transformers gives for the same conversations (tests/golden/chat).
TEST(ChatEncoder, GivesTheIdsOfTransformers) {
  const std::string model = std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no ../shared/data beside the checkout";
  const auto tokenizer = open_tokenizer(model);
  const auto cases =
      nlohmann::json::parse(read_bytes(std::string(LETHE_SOURCE_DIR) + "/tests/golden/chat/llama2_ids.json"));
  ASSERT_GT(cases.size(), 5u);
  for (const auto& c : cases) {
    const ChatEncoder encoder(ChatTemplate::built_in(c.at("template")), *tokenizer);
    std::vector<Message> messages;
    for (const auto& m : c.at("messages")) messages.push_back({m.at("role"), m.at("content")});
    const EncodedDocument got = encoder.encode(messages, ChatLoss::responses);
    EXPECT_EQ(got.ids, c.at("ids").get<std::vector<int32_t>>()) << c.at("template") << c.at("messages");
    // transformers marks what lies behind the prompt's own ids; of one turn that is the response.
    if (messages.size() != 2) continue;
    const auto prompt = c.at("prompt_tokens").get<size_t>();
    for (size_t i = 0; i < got.ids.size(); ++i) EXPECT_EQ(got.supervised[i], i >= prompt ? 1 : 0);
  }
}

}  // namespace
}  // namespace lethe
