// Windows of long texts, and what is made of WikiText's, against the harness's own functions.
#include "engine/error.h"
#include "tests/eval/vectors.h"
#include "tests/files.h"
#include "tools/digest.h"
#include "tools/eval/python_text.h"
#include "tools/eval/rolling.h"
#include "tools/eval/tasks/tasks.h"
#include "tools/eval/text_run.h"

namespace lethe::test {
namespace {

using namespace eval;
using nlohmann::json;
using Ids = std::vector<int32_t>;

TEST_F(Vectors, WindowsOfShortTexts) {
  for (const json& c : at("rolling_windows")) {
    const auto windows = rolling_windows(c.at("tokens").get<Ids>(), c.at("prefix"), c.at("max_seq_len"));
    ASSERT_EQ(windows.size(), c.at("windows").size());
    for (size_t i = 0; i < windows.size(); ++i) {
      const json& w = c.at("windows")[i];
      EXPECT_EQ(windows[i].targets, w.at("pred").get<Ids>());
      EXPECT_EQ(windows[i].input, w.at("input").get<Ids>());
    }
  }
}

TEST_F(Vectors, WindowsOfLongTexts) {
  for (const json& c : at("rolling_windows_long").at("cases")) {
    Ids tokens(c.at("n_tokens").get<size_t>());
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
    const auto windows = rolling_windows(tokens, -100, c.at("max_length"));
    ASSERT_EQ(windows.size(), c.at("windows").size());
    for (size_t i = 0; i < windows.size(); ++i) {
      const json& w = c.at("windows")[i];
      EXPECT_EQ(windows[i].input.front(), w.at("first_input"));
      EXPECT_EQ(windows[i].input.back(), w.at("last_input"));
      EXPECT_EQ(windows[i].input.size(), w.at("n_input"));
      EXPECT_EQ(windows[i].targets.front(), w.at("first_pred"));
      EXPECT_EQ(windows[i].targets.size(), w.at("n_pred"));
    }
  }
}

TEST_F(Vectors, WikiTextsPages) {
  for (const char* key : {"wikitext", "wikitext_more"}) {
    for (const json& c : at(key).at("docs")) {
      const ScoredText made = scored_text(wikitext(), c.at("page"));
      EXPECT_EQ(made.scored, c.at("detok")) << c.dump();
      EXPECT_EQ(made.words, c.at("words")) << c.dump();
      EXPECT_EQ(made.bytes, c.at("bytes")) << c.dump();
    }
  }
  const json& whole = at("wikitext_more").at("whole_test_text");
  const ScoredText made =
      scored_text(wikitext(), read_bytes(std::string(LETHE_SHARED_DATA) + "/cpt/wikitext2_test.txt"));
  EXPECT_EQ(sha256(made.scored), whole.at("detok_sha256"));
  EXPECT_EQ(code_points(made.scored), whole.at("detok_chars"));
  EXPECT_EQ(made.words, whole.at("words"));
  EXPECT_EQ(made.bytes, whole.at("bytes"));
}

// The corpus's ratios, of sums over its documents.
TEST_F(Vectors, PerplexitiesOfACorpus) {
  const Folder folder;
  const json& docs = at("wikitext").at("docs");
  const json& expected = at("wikitext").at("aggregate_example");
  std::string lines;
  for (const json& c : docs) lines += json{{"page", c.at("page")}}.dump() + "\n";
  write_text(folder / "wikitext_test.jsonl", lines);
  TextRun run(wikitext(), {.data = {folder.path()}, .max_length = 8});
  EXPECT_THROW(run.summary(), DataError);
  for (size_t d = 0; d < docs.size(); ++d) {
    const json line{{"task", "wikitext"},
                    {"document", d},
                    {"prompt_sha256", sha256(docs[d].at("detok").get<std::string>())},
                    {"log_likelihood", expected.at("loglikelihoods")[d]},
                    {"log_likelihood_of_bos", 0.0},
                    {"tokens", 7}};
    EXPECT_TRUE(run.restore(line));
  }
  int compared = 0;
  for (const Metric& m : run.summary().metrics) {
    if (!expected.contains(m.name)) continue;
    EXPECT_NEAR(m.value, expected.at(m.name).get<double>(), 1e-12) << m.name;
    ++compared;
  }
  EXPECT_EQ(compared, 3);
}

}  // namespace
}  // namespace lethe::test
