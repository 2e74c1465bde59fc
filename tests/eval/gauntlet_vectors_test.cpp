// The gauntlet's draws, rows, prompts and decisions against what llm-foundry's own functions gave.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/tokenizer.h"
#include "engine/error.h"
#include "tests/eval/vectors.h"
#include "tests/files.h"
#include "tools/digest.h"
#include "tools/eval/averages.h"
#include "tools/eval/choice_run.h"
#include "tools/eval/few_shot.h"
#include "tools/eval/gauntlet.h"
#include "tools/eval/python_random.h"
#include "tools/eval/python_set.h"
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::test {
namespace {

using namespace eval;
using nlohmann::json;
using Indices = std::vector<int64_t>;
using Ids = std::vector<int32_t>;

const std::string kLlama = std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model";

const ChoiceTask& task_of(const std::string& name) {
  const auto found = std::ranges::find(gauntlet_tasks(), name, &ChoiceTask::name);
  EXPECT_NE(found, gauntlet_tasks().end()) << name;
  return *found;
}

TEST_F(Vectors, SetsAreWalkedThroughAsCPythonDoes) {
  for (const json& c : at("mosaic_fewshot_indices").at("set_order_examples")) {
    PythonSet set;
    for (const int64_t value : c.at("insert").get<Indices>()) set.insert(value);
    EXPECT_EQ(set.values(), c.at("iterate").get<Indices>());
  }
}

// A value that comes after another has gone takes its place where its way meets it: what CPython 3.11 gave.
TEST(PythonSet, PutsAValueWhereAnotherWas) {
  struct Case {
    Indices inserted;
    int64_t erased, then;
    Indices expected;
  };
  for (const Case& c : {Case{{275, 1165, 129}, 1165, 241, {129, 275, 241}},
                        Case{{545, 197, 776, 1121, 704}, 704, 992, {992, 545, 1121, 197, 776}},
                        Case{{455, 529, 1249, 500, 62, 824, 648, 884, 508, 551},
                             500,
                             148,
                             {1249, 455, 648, 551, 529, 148, 884, 824, 508, 62}}}) {
    PythonSet set;
    for (const int64_t value : c.inserted) set.insert(value);
    set.erase(c.erased);
    EXPECT_FALSE(set.contains(c.erased));
    set.insert(c.then);
    set.insert(c.then);
    EXPECT_EQ(set.values(), c.expected);
  }
}

TEST_F(Vectors, TheGauntletDrawsFromWhatItAsks) {
  int compared = 0;
  for (const auto& [name, c] : at("mosaic_fewshot_indices").items()) {
    if (!name.ends_with("shot")) continue;
    for (const auto& [key, value] : c.items()) {
      if (key == "n") continue;
      const auto expected = value.get<std::vector<Indices>>();
      EXPECT_EQ(draw_gauntlet_shots(std::ssize(expected), c.at("n"), std::ssize(expected[0])), expected)
          << name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 4);
  const json& hit = at("mosaic_fewshot_indices").at("winogrande_5shot_first_self_hit");
  const auto document = hit.at("doc").get<size_t>();
  PythonRandom random(1234);
  for (size_t d = 0; d < document; ++d) random.sample(1267, 5);
  EXPECT_EQ(random.sample(1267, 5), hit.at("raw_draw").get<Indices>());
  EXPECT_EQ(draw_gauntlet_shots(1267, 1267, 5)[document], hit.at("final_order").get<Indices>());
  // As many as there are: all but the document itself.
  EXPECT_EQ(draw_gauntlet_shots(3, 3, 9), (std::vector<Indices>{{1, 2}, {0, 2}, {0, 1}}));
}

TEST_F(Vectors, TheSmallestMeanLossIsPicked) {
  for (const json& c : at("mosaic_mc")) {
    std::vector<double> sums;
    std::vector<int64_t> tokens;
    for (size_t i = 0; i < c.at("token_logprobs").size(); ++i) {
      const auto values = c.at("token_logprobs")[i].get<std::vector<double>>();
      sums.push_back(0);
      for (const double v : values) sums.back() += v;
      tokens.push_back(std::ssize(values));
      EXPECT_EQ(-sums.back() / static_cast<double>(tokens.back()), c.at("mean_ce")[i]);
    }
    EXPECT_EQ(smallest_mean_loss(sums, tokens), c.at("pred")) << c.dump();
  }
}

TEST_F(Vectors, AccuracyAboveChance) {
  for (const json& c : at("gauntlet_rescale"))
    EXPECT_EQ(above_chance(c.at("acc"), c.at("baseline")), c.at("score"));
}

TEST_F(Vectors, ForgettingIsTheFallOfThreeTasks) {
  const json& c = at("forgetting_example");
  const auto average = [](const json& scores) {
    std::vector<Summary> summaries;
    for (const auto& [task, accuracy] : scores.items())
      summaries.push_back({.task = task, .documents = 100, .metrics = {{"acc", accuracy, 0.03}}});
    return forgetting_average(summaries);
  };
  const auto base = average(c.at("base")), tuned = average(c.at("tuned"));
  ASSERT_TRUE(base && tuned);
  // Three roundings of numbers below 2 in another order.
  EXPECT_NEAR(base->metrics[0].value, c.at("F_base").get<double>(), 4e-16);
  EXPECT_NEAR(tuned->metrics[0].value, c.at("F_tuned").get<double>(), 4e-16);
  EXPECT_NEAR(base->metrics[0].value - tuned->metrics[0].value, c.at("drop").get<double>(), 8e-16);
  EXPECT_NEAR(base->metrics[0].standard_error, 0.03 / std::sqrt(3.0), 1e-15);
  EXPECT_EQ(base->documents, 300);
  EXPECT_FALSE(average({{"hellaswag", 0.5}, {"winogrande", 0.5}}));
}

TEST(Averages, TakeTheNormalisedAccuracyOfLmEvalAndScoresAboveChance) {
  const auto summary = [](const std::string& task, std::vector<Metric> metrics) {
    return Summary{.task = task, .documents = 1, .metrics = std::move(metrics)};
  };
  const std::vector<Summary> all{summary("hellaswag", {{"acc", 0.1, 0}, {"acc_norm", 0.3, 0}}),
                                 summary("arc_challenge", {{"acc", 0.1, 0}, {"acc_norm", 0.4, 0}}),
                                 summary("winogrande", {{"acc", 0.5, 0}})};
  EXPECT_NEAR(forgetting_average(all)->metrics[0].value, 0.4, 1e-15);
  EXPECT_FALSE(gauntlet_average(all));
  const std::vector<Summary> scores{summary("piqa", {{"acc", 0.9, 0}, {"above_chance", 0.5, 0.3}}),
                                    summary("arc_easy", {{"acc", 0.9, 0}, {"above_chance", -0.1, 0.4}})};
  EXPECT_NEAR(gauntlet_average(scores)->metrics[0].value, 0.2, 1e-15);
  EXPECT_NEAR(gauntlet_average(scores)->metrics[0].standard_error, 0.25, 1e-15);
}

// The rows that the gauntlet's own files hold, faults and all, from the official ones.
TEST_F(Vectors, RowsOfTheGauntletsArcFiles) {
  if (!std::filesystem::exists(kEvalData)) GTEST_SKIP() << "no " << kEvalData;
  for (const auto& [name, c] : at("gauntlet_files").at("arc").items()) {
    const Documents documents = Documents::read(kEvalData + "/" + name + "_test.jsonl");
    ASSERT_EQ(documents.size(), c.at("rows").get<size_t>());
    Digest digest;
    std::vector<size_t> wrong;
    for (size_t d = 0; d < documents.size(); ++d) {
      const ChoiceExample made = task_of(name).example(documents.at(d)),
                          official = arc_easy().example(documents.at(d));
      digest.update(json{made.contexts[0], made.choices, made.gold}.dump() + "\n");
      if (official.size() == 4 && made.gold != official.gold) wrong.push_back(d);
    }
    EXPECT_EQ(digest.hex(), c.at("rows_sha256")) << name;
    EXPECT_EQ(wrong, c.at("wrong_gold_numeric_rows").get<std::vector<size_t>>()) << name;
    const auto check = [&](const json& row, const char* choice_key, bool from_front) {
      const auto d = row.at("row").get<size_t>();
      const ChoiceExample made = task_of(name).example(documents.at(d)),
                          official = arc_easy().example(documents.at(d));
      std::vector<std::string> expected = official.choices;
      const auto choice = row.at(choice_key).get<int64_t>();
      if (from_front) {
        expected.insert(expected.begin(), official.choices[static_cast<size_t>(choice)]);
      } else {
        expected.erase(expected.begin() + choice);
      }
      EXPECT_EQ(made.choices, expected) << row.dump();
      EXPECT_EQ(made.gold, row.at("gold")) << row.dump();
    };
    for (const json& row : c.at("three_choice_rows")) check(row, "prepended_choice", true);
    for (const json& row : c.at("five_choice_rows")) check(row, "dropped_choice", false);
  }
}

// Examples, question and, where a tokenizer is at hand, every id.
TEST_F(Vectors, PromptsAndIdsOfTheGauntlet) {
  if (!std::filesystem::exists(kEvalData)) GTEST_SKIP() << "no " << kEvalData;
  if (!std::filesystem::exists(kLlama)) GTEST_SKIP() << "no " << kLlama;
  const auto tokenizer = open_tokenizer(kLlama);
  const PairEncoder encoder(*tokenizer, {});
  int compared = 0;
  for (const auto& [name, cases] : at("mosaic_prompts").items()) {
    if (!cases.is_array()) continue;
    const size_t cut = name.rfind('_');
    std::string task_name = name.substr(0, cut);
    if (task_name == "openbook_qa") task_name = "openbookqa";
    const ChoiceTask& task = task_of(task_name);
    const GauntletRules& rules = *task.gauntlet;
    const auto shots = std::stol(name.substr(cut + 1));
    const Documents documents = Documents::find({kEvalData}, task.files, task.name);
    const auto drawn = draw_shots(task, documents, documents, shots);
    ChoiceRun run(task,
                  {.data = {kEvalData}, .shots = shots, .limit = std::ssize(cases), .max_length = 2048});
    run.encode(encoder);
    size_t request = 0;
    for (const json& c : cases) {
      const auto d = c.at("doc").get<size_t>();
      std::string before;
      for (const int64_t p : drawn[d]) {
        if (!before.empty()) before += "\n";
        before += rules.solved(task.example(documents.at(static_cast<size_t>(p))));
      }
      EXPECT_EQ(sha256(before), c.at("fewshot_sha256"));
      EXPECT_EQ(code_points(before), c.at("fewshot_chars"));
      const ChoiceExample example = task.example(documents.at(d));
      for (size_t i = 0; i < example.size(); ++i, ++request) {
        const std::string question = (shots > 0 ? "\n" : "") + rules.asked(example, i);
        const json& ctx = c.at("ctx");
        EXPECT_EQ(question, rstrip(ctx.is_array() ? ctx[i].get<std::string>() : ctx.get<std::string>()));
        const ScoreRequest& r = run.requests()[request];
        Ids ids = r.input;
        ids.push_back(r.targets.back());
        const json& targets = c.at("continuation_ids");
        EXPECT_EQ(r.targets, (targets[0].is_array() ? targets[i] : targets).get<Ids>());
        EXPECT_EQ(ids.size(), c.at("n_tokens")[i]);
        EXPECT_EQ(ids.size() - r.targets.size(), c.at("continuation_span")[i][0]);
        EXPECT_EQ(ids.size() - 1, c.at("continuation_span")[i][1]);
        EXPECT_EQ(sha256(fmt::format("{}", fmt::join(ids, " "))), c.at("ids_sha256")[i]) << name << " " << d;
        ++compared;
      }
    }
    EXPECT_EQ(request, run.requests().size());
  }
  EXPECT_EQ(compared, 34);
}

// A tokenizer that joins a space to the word behind it gets one before an answer.
TEST(GauntletTokens, AnswersGetTheSpaceThatTheirTokenizerJoins) {
  const Folder folder;
  json vocab;
  int id = 0;
  for (const char* piece : {"a", "b", ":", "\u0120", "\u0120a", "\u010a", "<e>"}) vocab[piece] = id++;
  const json bpe{
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", 6},
         {"content", "<e>"},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false},
         {"normalized", false},
         {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"\u0120 a"}}}}};
  write_text(folder / "tokenizer.json", bpe.dump());
  write_text(folder / "tokenizer_config.json", "{\"eos_token\": \"<e>\"}");
  const auto tokenizer = open_tokenizer(folder.path());
  const PairEncoder encoder(*tokenizer, {});
  const TokenPair bare = encoder.apart("", "b:", "a"), spaced = encoder.apart("b: a", "\nb:", " a");
  EXPECT_EQ(bare.context, (Ids{1, 2}));
  EXPECT_EQ(bare.continuation, (Ids{4}));
  EXPECT_EQ(spaced.context, (Ids{1, 2, 4, 5, 1, 2}));
  EXPECT_EQ(spaced.continuation, (Ids{4}));
  // What ends the examples' text goes.
  EXPECT_EQ(encoder.apart("b<e>", ":", "a").context, (Ids{1, 2}));
  EXPECT_THROW(encoder.apart("", "", "a"), DataError);
}

// Its own files and the official ones give the same documents; what is neither is refused by its place.
TEST(GauntletRows, AreReadFromEitherFile) {
  const Folder folder;
  const std::string file = folder / "rows.jsonl";
  const auto example = [&](const std::string& task, const json& document) {
    write_text(file, document.dump() + "\n");
    const Documents documents = Documents::read(file);
    return task_of(task).example(documents.at(0));
  };
  const auto expect_equal = [](const ChoiceExample& a, const ChoiceExample& b) {
    EXPECT_EQ(a.contexts, b.contexts);
    EXPECT_EQ(a.continuations, b.continuations);
    EXPECT_EQ(a.choices.size(), b.choices.size());
    EXPECT_EQ(a.gold, b.gold);
  };
  expect_equal(
      example("hellaswag", {{"activity_label", "Roof"},
                            {"ctx_a", "A man sits."},
                            {"ctx_b", "he"},
                            {"endings", {"falls.", ", sleeping"}},
                            {"label", "1"}}),
      example("hellaswag",
              {{"query", "Roof: A man sits. He"}, {"choices", {"falls.", ", sleeping"}}, {"gold", 1}}));
  expect_equal(example("piqa", {{"goal", "g"}, {"sol1", " a"}, {"sol2", "b "}, {"label", 1}}),
               example("piqa", {{"query", "Question: g\n"}, {"choices", {"a", "b"}}, {"gold", 1}}));
  expect_equal(
      example("winogrande",
              {{"sentence", "A saw B so _ left ."}, {"option1", "A"}, {"option2", "B"}, {"answer", "2"}}),
      example(
          "winogrande",
          {{"context_options", {"A saw B so A", "A saw B so B"}}, {"continuation", " left ."}, {"gold", 1}}));
  const auto arc = [](const std::string& key, const std::vector<std::string>& labels) {
    return json{{"question", "q"}, {"choices", {{"text", labels}, {"label", labels}}}, {"answerKey", key}};
  };
  EXPECT_EQ(example("arc_easy", arc("B", {"A", "B", "C", "D"})).gold, 1);
  EXPECT_EQ(example("arc_easy", arc("2", {"1", "2", "3", "4"})).gold, 2);
  EXPECT_EQ(example("arc_easy", arc("4", {"1", "2", "3", "4"})).gold, 3);
  expect_parts(message_of<FormatError>([&] {
                 example("arc_easy", arc("A", {"A", "B"}));
               }),
               {"rows.jsonl", "line 1", "choices", "3 to 5"});
  expect_parts(message_of<FormatError>([&] {
                 example("piqa", {{"query", "q"}, {"choices", {"a", "b"}}, {"gold", 2}});
               }),
               {"rows.jsonl", "line 1", "gold"});
  expect_parts(message_of<DataError>([&] { ChoiceRun(task_of("arc_challenge"), {.data = {folder.path()}}); }),
               {"arc_challenge", "arc_challenge.jsonl", "arc_challenge_test.jsonl", folder.path()});
}

}  // namespace
}  // namespace lethe::test
