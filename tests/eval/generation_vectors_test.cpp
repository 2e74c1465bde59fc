// Prompts, cuts, answers and chances of the tasks whose answers are written, against what the harnesses' own
// functions gave.
#include <fmt/format.h>

#include "tests/eval/vectors.h"
#include "tests/files.h"
#include "tools/digest.h"
#include "tools/eval/generation_run.h"
#include "tools/eval/gsm8k_answer.h"
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::test {
namespace {

using namespace eval;
using nlohmann::json;

std::string text(const json& object, const char* key) {
  return object.at(key).get<std::string>();
}

TEST_F(Vectors, TextsAreCutAtStopsInTheirOrder) {
  for (const json& c : at("stop_truncation"))
    EXPECT_EQ(cut_at(c.at("text"), c.at("stops").get<std::vector<std::string>>()), text(c, "out"));
}

TEST_F(Vectors, NumbersAreFoundAndComparedAsTheHarnessDoes) {
  size_t count = 0;
  for (const char* name : {"gsm8k_extraction", "gsm8k_extraction_more"}) {
    const std::string wanted = comparable(text(at(name), "reference"));
    EXPECT_EQ(wanted, "18");
    for (const json& c : at(name).at("cases")) {
      const std::string from = text(c, "text");
      EXPECT_EQ(strict_answer(from), text(c, "strict")) << from;
      EXPECT_EQ(strict_spoken_answer(from), text(c, "cot_strict")) << from;
      EXPECT_EQ(flexible_answer(from), text(c, "flexible")) << from;
      EXPECT_EQ(comparable(strict_answer(from)), text(c, "strict_norm")) << from;
      EXPECT_EQ(comparable(strict_spoken_answer(from)), text(c, "cot_strict_norm")) << from;
      EXPECT_EQ(comparable(flexible_answer(from)), text(c, "flexible_norm")) << from;
      EXPECT_EQ(comparable(strict_answer(from)) == wanted, c.at("em_strict_vs_18") == 1.0) << from;
      EXPECT_EQ(comparable(flexible_answer(from)) == wanted, c.at("em_flex_vs_18") == 1.0) << from;
      ++count;
    }
  }
  EXPECT_GT(count, 60u);
}

TEST_F(Vectors, TheOldTaskFileKeepsTheFullStopAndEndsAtABlankLine) {
  for (const json& c : at("gsm8k_old_task_version").at("cases")) {
    const json& old = c.at("v0.4.0_v0.4.1");
    const std::string cut = cut_at(c.at("text"), gsm8k_v040().stops);
    EXPECT_EQ(cut, text(old, "after_stops"));
    EXPECT_EQ(strict_answer(cut), text(old, "answer"));
    EXPECT_EQ(comparable_with_full_stop(strict_answer(cut)), text(old, "norm"));
    EXPECT_EQ(comparable(strict_answer(text(c, "text"))), text(c.at("v0.4.2_on"), "norm"));
  }
}

TEST_F(Vectors, ChancesOfSeveralTries) {
  for (const json* cases : {&at("pass_at_k"), &at("pass_at_k_more").at("cases")}) {
    for (const json& c : *cases)
      EXPECT_NEAR(pass_at(c.at("n"), c.at("c"), c.at("k")), c.at("pass_at_k").get<double>(), 1e-14);
  }
}

// A folder with the files of a task, whatever they are called here.
class Data : public Folder {
 public:
  Data& link(const std::string& name, const std::string& from) {
    std::filesystem::create_symlink(std::filesystem::absolute(from), *this / name);
    return *this;
  }
};

void expect_prompts(const GenerationRun& run, size_t documents, const json& vectors, const char* all) {
  for (const auto& [d, c] : vectors.at("docs").items()) {
    const std::string& prompt = run.prompt(std::stoul(d));
    EXPECT_EQ(code_points(prompt), c.at("chars").get<int64_t>()) << d;
    EXPECT_EQ(sha256(prompt), text(c, "sha256")) << d;
  }
  Digest hash;
  for (size_t d = 0; d < documents; ++d) hash.update(run.prompt(d) + '\0');
  EXPECT_EQ(hash.hex(), text(vectors, all));
}

TEST_F(Vectors, PromptsOfGsm8k) {
  if (!std::filesystem::exists(kEvalData)) GTEST_SKIP() << "no " << kEvalData;
  Data data;
  data.link("gsm8k_test.jsonl", kEvalData + "/gsm8k_test.jsonl")
      .link("gsm8k_train.jsonl", kEvalData + "/../ift/gsm8k_train.jsonl");
  const GenerationTask task = gsm8k();
  const GenerationRun run(task, {.data = {data.path()}}, {});
  ASSERT_EQ(run.asks().size(), 1319u);
  expect_prompts(run, 1319, at("gsm8k_prompts"), "all_1319_sha256");

  std::string shots;
  for (const json& c : at("gsm8k_cot_8shot").at("exemplars")) shots += c.dump() + "\n";
  write_text(data / "gsm8k_cot_shots.jsonl", shots);
  const GenerationTask cot = gsm8k_cot();
  const GenerationRun spoken(cot, {.data = {data.path()}}, {});
  expect_prompts(spoken, 1319, at("gsm8k_cot_prompts"), "all_1319_sha256");
}

TEST_F(Vectors, PromptsOfProgramsAndTheFence) {
  if (!std::filesystem::exists(kEvalData)) GTEST_SKIP() << "no " << kEvalData;
  const json& c = at("humaneval_requests");
  const GenerationTask plain = humaneval(), fenced = humaneval_instruct();
  const RunOptions options{.data = {kEvalData}};
  const GenerationRun run(plain, options, {}), asked(fenced, options, {});
  EXPECT_EQ(sha256(run.prompt(0)), text(c.at("humaneval_prompt_doc0"), "sha256"));
  EXPECT_EQ(sha256(asked.prompt(0)), text(c.at("instruct_context_doc0"), "sha256"));
  Digest hash;
  for (size_t d = 0; d < 164; ++d) hash.update(asked.prompt(d) + '\0');
  EXPECT_EQ(hash.hex(), text(c, "instruct_all_164_sha256"));
  for (const json& cut : c.at("instruct_cut"))
    EXPECT_EQ(before_fence(text(cut, "generation")), text(cut, "kept"));

  // The three documents that stand before are not among those at hand; what follows them is.
  const GenerationTask small = mbpp();
  const GenerationRun programs(small, options, {.shots = 0});
  ASSERT_EQ(programs.asks().size(), 500u);
  const json& m = at("mbpp_prompts");
  EXPECT_EQ(code_points(programs.prompt(0)),
            m.at("doc0_chars").get<int64_t>() - m.at("prefix_chars").get<int64_t>());
}

// What a program may do beside solving its problem.
TEST_F(Vectors, ProgramsPassAsInTheHarness) {
  const std::string file = kEvalData + "/humaneval.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  if (const std::string why = sandbox_refusal(); !why.empty()) GTEST_SKIP() << why;
  const Documents documents = Documents::read(file);
  const std::string solution = documents.at(0).at("canonical_solution").string();
  for (const json& c : at("humaneval_execution").at("cases")) {
    std::string body = solution + c.value("append", "");
    if (c.contains("instead")) body = text(c, "instead").empty() ? "" : solution.substr(1);
    const Verdict verdict = humaneval().judge(documents.at(0), body, {});
    EXPECT_EQ(verdict.values[0] == 1, c.at("pass").get<bool>()) << c.dump() << " " << verdict.answer;
  }
}

// Programs that need no model: the data's own solutions.
TEST_F(Vectors, SolutionsOfMbppPass) {
  if (!std::filesystem::exists(kEvalData)) GTEST_SKIP() << "no " << kEvalData;
  if (const std::string why = sandbox_refusal(); !why.empty()) GTEST_SKIP() << why;
  const GenerationTask task = mbpp();
  Documents documents = Documents::find({kEvalData}, task.files, "test");
  GenerationRun run(task, {.data = {kEvalData}, .limit = 20}, {.shots = 0, .samples = 2});
  for (size_t d = 0; d < 20; ++d) {
    EXPECT_EQ(run.take({d, 0}, documents.at(d).at("code").string()), std::nullopt);
    const auto line = run.take({d, 1}, "def nothing(): pass");
    ASSERT_TRUE(line);
    EXPECT_EQ(line->at("pass"), json({1.0, 0.0})) << line->dump(1);
  }
  const Summary summary = run.summary();
  ASSERT_EQ(summary.metrics.size(), 2u);
  EXPECT_EQ(summary.metrics[0].name, "pass@1");
  EXPECT_EQ(summary.metrics[0].value, 0.5);
  EXPECT_EQ(summary.metrics[1].name, "pass@2");
  EXPECT_EQ(summary.metrics[1].value, 1);
}

TEST(GenerationRun, TakesBackItsOwnLines) {
  const Folder data;
  write_text(data / "gsm8k_test.jsonl",
             "{\"question\": \"1 + 1?\", \"answer\": \"#### 2\"}\n{\"question\": \"2 + 1?\", \"answer\": "
             "\"#### 3\"}\n");
  const GenerationTask task = gsm8k();
  GenerationRun run(task, {.data = {data.path()}}, {.shots = 0}),
      again(task, {.data = {data.path()}}, {.shots = 0});
  const auto line = run.take({1, 0}, " it is #### 3");
  ASSERT_TRUE(line);
  EXPECT_TRUE(again.restore(*line));
  ASSERT_EQ(again.asks().size(), 1u);
  EXPECT_EQ(again.asks()[0].document, 0u);
  const Summary summary = again.summary();
  EXPECT_EQ(summary.documents, 1);
  EXPECT_EQ(summary.metrics[0].value, 1);
  EXPECT_FALSE(GenerationRun(task, {.data = {data.path()}}, {.shots = 0, .samples = 2}).restore(*line));
}

}  // namespace
}  // namespace lethe::test
