// Prompts, draws, token splits and scores of the log-likelihood tasks against what the harness's own
// functions gave.
#include <cmath>

#include "data/tokenizer.h"
#include "engine/error.h"
#include "tests/eval/vectors.h"
#include "tools/digest.h"
#include "tools/eval/choice_score.h"
#include "tools/eval/few_shot.h"
#include "tools/eval/packing.h"
#include "tools/eval/python_random.h"
#include "tools/eval/python_text.h"
#include "tools/eval/statistics.h"
#include "tools/eval/tasks/tasks.h"
#include "tools/eval/token_pair.h"

namespace lethe::test {
namespace {

using namespace eval;
using nlohmann::json;
using Indices = std::vector<int64_t>;

TEST_F(Vectors, GeneratorIsCPythons) {
  for (const json& c : at("mt19937")) {
    PythonRandom words(c.at("seed")), reals(c.at("seed"));
    for (const json& word : c.at("first_u32")) EXPECT_EQ(words.word(), word.get<uint32_t>());
    for (const json& real : c.at("first_random")) EXPECT_EQ(reals.random(), real.get<double>());
  }
  for (const json& c : at("sample_edge_cases"))
    EXPECT_EQ(PythonRandom(c.at("seed")).sample(c.at("n"), c.at("k")), c.at("result").get<Indices>());
}

// Draws of document after document from one generator.
std::vector<Indices> draws(int64_t n, int64_t k, size_t documents) {
  PythonRandom random(1234);
  std::vector<Indices> made;
  for (size_t d = 0; d < documents; ++d) made.push_back(random.sample(n, k));
  return made;
}

TEST_F(Vectors, ShotsAreDrawnAsTheHarnessDrawsThem) {
  for (const auto& [name, c] : at("lm_eval_fewshot_indices").items()) {
    if (!c.contains("n")) {  // of two processes, each with a generator of its own: as of one
      const auto made = draws(7473, 5, 3);
      EXPECT_EQ(made, c.at("rank0_docs_0_2_4").get<std::vector<Indices>>());
      EXPECT_EQ(made, c.at("rank1_docs_1_3_5").get<std::vector<Indices>>());
      continue;
    }
    const int64_t k = c.contains("draw_k") ? c.at("draw_k").get<int64_t>() : std::ssize(c.begin().value()[0]);
    const auto made = draws(c.at("n"), k, 1319);
    size_t compared = 0;
    for (const auto& [key, value] : c.items()) {
      if (key.starts_with("docs_0_to_")) {
        const auto expected = value.get<std::vector<Indices>>();
        EXPECT_EQ(std::vector(made.begin(), made.begin() + std::ssize(expected)), expected) << name;
        ++compared;
      } else if (key.starts_with("doc_")) {
        EXPECT_EQ(made[key == "doc_100" ? 100 : 1318], value.get<Indices>()) << name << " " << key;
      }
    }
    EXPECT_EQ(compared, 1) << name;
  }
}

// The last of 200 documents; of those that draw one to spare, the first that many.
TEST_F(Vectors, ShotsOfLateDocuments) {
  const json& pools = at("lm_eval_fewshot_indices");
  for (const auto& [name, value] : at("lm_eval_fewshot_late_docs").at("doc_199").items()) {
    const std::string task = name.substr(0, name.rfind('_'));
    const auto like = std::ranges::find(choice_tasks(), task, &ChoiceTask::name);
    ASSERT_NE(like, choice_tasks().end()) << name;
    int64_t n = 0;
    for (const auto& [pool, c] : pools.items()) {
      if (pool.starts_with(task)) n = c.at("n");
    }
    const auto expected = value.get<Indices>();
    Indices made = draws(n, std::ssize(expected) + (like->draws_spare ? 1 : 0), 200)[199];
    made.resize(expected.size());
    EXPECT_EQ(made, expected) << name;
  }
}

// Another protocol's thousand documents, by the same generator.
TEST_F(Vectors, SubsetsOfAThousand) {
  for (const auto& [name, value] : at("olmes_subsample_first10").items()) {
    Indices made = PythonRandom(1234).sample(std::stol(name.substr(name.rfind('_') + 1)), 1000);
    made.resize(10);
    EXPECT_EQ(made, value.get<Indices>()) << name;
  }
}

TEST_F(Vectors, ADocumentIsNoExampleOfItself) {
  const json& c = at("fewshot_self_removal");
  Documents documents = Documents::read(kEvalData + "/winogrande_dev.jsonl");
  documents.limit(c.at("n"));
  const auto shots = draw_shots(winogrande(), documents, documents, c.at("keep"));
  for (const json& d : c.at("docs")) EXPECT_EQ(shots[d.at("doc")], d.at("shots").get<Indices>());
}

// Every request of every document, by its digest.
std::string digest(const ChoiceTask& task, const Documents& documents, const Documents& pool, int64_t shots) {
  const auto drawn = draw_shots(task, documents, pool, shots);
  Digest hash;
  for (size_t d = 0; d < documents.size(); ++d) {
    const ChoiceExample example = task.example(documents.at(d));
    std::string before;
    for (const int64_t p : drawn[d]) before += task.example(pool.at(static_cast<size_t>(p))).shot();
    for (size_t i = 0; i < example.size(); ++i) {
      hash.update(before + example.context(i) + '\0');
      hash.update(example.continuation(i) + '\0');
    }
  }
  return hash.hex();
}

TEST_F(Vectors, RequestsAreTheHarnesssOwn) {
  for (const json& row : at("request_digests").at("rows")) {
    const auto tasks = choice_tasks();
    const auto task = std::ranges::find(tasks, row.at("task").get<std::string>(), &ChoiceTask::name);
    ASSERT_NE(task, tasks.end());
    const Documents documents = Documents::find({kEvalData}, task->files, task->name);
    const std::string pool = row.contains("pool") ? row.at("pool").get<std::string>() : "the same file";
    const Documents examples = pool.starts_with("arc_") ? Documents::read(kEvalData + "/" + pool) : documents;
    EXPECT_EQ(digest(*task, documents, examples, row.at("shots")), row.at("sha256")) << row.dump();
  }
}

TEST_F(Vectors, HellaSwagsTexts) {
  for (const json& c : at("hellaswag_query"))
    EXPECT_EQ(hellaswag_query(c.at("activity_label"), c.at("ctx_a"), c.at("ctx_b")), c.at("query"));
  for (const json& c : at("hellaswag_ending")) EXPECT_EQ(hellaswag_text(c.at("in")), c.at("out"));
  for (const json& c : at("hellaswag_preprocess").at("cases"))
    EXPECT_EQ(hellaswag_text(c.at("in")), c.at("out")) << c.dump();
  for (const json& c : at("hellaswag_capitalize").at("cases"))
    EXPECT_EQ(hellaswag_query(c.at("activity_label"), c.at("ctx_a"), c.at("ctx_b")), c.at("query"));
}

TEST_F(Vectors, WinoGrandesRequests) {
  for (const json& c : at("winogrande_requests")) {
    const ChoiceExample made = winogrande().example({c, "vectors", ""});
    EXPECT_EQ(made.contexts, c.at("contexts").get<std::vector<std::string>>());
    EXPECT_EQ(made.continuation(1), c.at("continuation"));
    EXPECT_EQ(made.gold, c.at("gold"));
    EXPECT_EQ(made.shot(), c.at("fewshot_block"));
  }
}

TEST_F(Vectors, SpacesMoveToTheContinuation) {
  for (const json& c : at("context_space_move")) {
    const std::string context = c.at("context"), continuation = c.at("continuation");
    const auto [kept, moved] = move_spaces(context, continuation);
    EXPECT_EQ(kept, c.at("context_out"));
    EXPECT_EQ(moved, c.at("continuation_out"));
  }
}

TEST_F(Vectors, PairsOfLlamaTwosTokens) {
  const auto tokenizer =
      open_tokenizer(std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model");
  for (const json& c : at("encode_pair_llama2").at("cases")) {
    const Bos bos = c.at("add_bos").is_null() ? Bos::tokenizer : c.at("add_bos") ? Bos::on : Bos::off;
    const PairEncoder encoder(*tokenizer, {.bos = bos});
    const std::string context = c.at("context"), continuation = c.at("continuation");
    if (c.at("fails")) {
      EXPECT_THROW(encoder.pair(context, continuation), DataError) << c.dump();
      continue;
    }
    const TokenPair made = encoder.pair(context, continuation);
    EXPECT_EQ(made.context, c.at("context_ids").get<std::vector<int32_t>>()) << c.dump();
    EXPECT_EQ(made.continuation, c.at("continuation_ids").get<std::vector<int32_t>>()) << c.dump();
  }
}

// Two requests of one input that ask for another number of its places: each is scored at its own, where the
// harness with its cache scores the shorter at the first of the longer.
TEST_F(Vectors, RequestsThatShareAnInputKeepTheirPlaces) {
  const auto tokenizer =
      open_tokenizer(std::string(LETHE_SHARED_DATA) + "/tokenizers/llama2.tokenizer.model");
  const PairEncoder encoder(*tokenizer, {});
  const json& c = at("logits_cache_bug").at("toy");
  std::vector<ScoreRequest> requests;
  for (size_t i = 0; i < c.at("requests").size(); ++i) {
    const auto [context, continuation] = c.at("requests")[i].get<std::pair<std::string, std::string>>();
    const TokenPair made = encoder.pair(context, continuation);
    EXPECT_EQ(made.context, c.at("token_ids")[i][0].get<std::vector<int32_t>>());
    EXPECT_EQ(made.continuation, c.at("token_ids")[i][1].get<std::vector<int32_t>>());
    requests.push_back(request_of(made, 16));
  }
  const PackedPass pass = pack(requests, group_requests(requests, {64, 64, 0}, true));
  EXPECT_EQ(pass.ids, requests[0].input);
  for (const PackedPass::Part& part : pass.parts) {
    const ScoreRequest& request = requests[part.request];
    for (size_t t = 0; t < request.targets.size(); ++t) {
      EXPECT_EQ(pass.labels[part.first + t], request.targets[t]);
      EXPECT_EQ(pass.rows[part.first + t],
                static_cast<int32_t>(request.input.size() - request.targets.size() + t));
    }
  }
}

TEST_F(Vectors, LongRequestsLoseTheirBeginning) {
  for (const json& c : at("loglikelihood_truncation")) {
    const ScoreRequest made = request_of({c.at("ctx"), c.at("cont")}, c.at("max_length"));
    EXPECT_EQ(made.input, c.at("model_input").get<std::vector<int32_t>>());
    EXPECT_EQ(made.targets, c.at("targets").get<std::vector<int32_t>>());
    EXPECT_EQ(std::ssize(made.input) - std::ssize(made.targets), c.at("scored_input_positions")[0]);
  }
  EXPECT_THROW(request_of({{1}, {2, 3, 4}}, 2), DataError);
}

double number(const json& value) {
  if (value == "nan") return std::nan("");
  if (value == "-inf") return -INFINITY;
  return value.get<double>();
}

TEST_F(Vectors, ChoicesArePicked) {
  std::vector<json> cases = at("multiple_choice").get<std::vector<json>>();
  for (const json& c : at("multiple_choice_more").at("cases")) cases.push_back(c);
  for (const json& c : cases) {
    std::vector<double> log_likelihoods;
    for (const json& value : c.at("loglikelihoods")) log_likelihoods.push_back(number(value));
    const ChoicePick made = pick(c.at("choices").get<std::vector<std::string>>(), log_likelihoods);
    EXPECT_EQ(made.raw, c.at("pred")) << c.dump();
    EXPECT_EQ(made.per_letter, c.at("pred_norm")) << c.dump();
    EXPECT_EQ(made.per_byte, c.at("pred_bytes")) << c.dump();
  }
}

TEST_F(Vectors, StandardErrors) {
  const auto check = [](const std::vector<double>& items, const json& c) {
    // The harness may sum with compensation: two more roundings of n terms each.
    EXPECT_NEAR(mean(items), c.at("mean").get<double>(), 1e-15);
    EXPECT_NEAR(mean_standard_error(items), c.at("stderr").get<double>(), 1e-14);
  };
  std::vector<json> counted = at("stderr_more").at("mean").get<std::vector<json>>();
  for (const json& c : at("mean_stderr")) {
    if (c.contains("items")) {
      check(c.at("items").get<std::vector<double>>(), c);
    } else {
      counted.push_back(c);
    }
  }
  for (const json& c : counted) {
    std::vector<double> items(c.at("n").get<size_t>(), 0.0);
    std::fill_n(items.begin(), c.at("correct").get<int64_t>(), 1.0);
    check(items, c);
  }
  EXPECT_TRUE(std::isnan(mean_standard_error({1.0})));
  const json& group = at("stderr_more").at("group");
  EXPECT_NEAR(pooled_standard_error(group.at("stderrs").get<std::vector<double>>(),
                                    group.at("sizes").get<std::vector<int64_t>>()),
              group.at("pooled_stderr").get<double>(), 1e-15);
}

TEST_F(Vectors, StandardErrorsByBootstrap) {
  const json& c = at("bootstrap");
  const auto items = c.at("xs").get<std::vector<double>>();
  PythonRandom random(0);
  for (const json& replicate : c.at("first_two_replicate_indices_chunk0")) {
    for (const json& index : replicate)
      EXPECT_EQ(std::floor(random.random() * static_cast<double>(items.size())), index.get<double>());
  }
  const auto exponential = [](const std::vector<double>& values) { return std::exp(-mean(values)); };
  // 2000 squares, summed in another order: 2000 roundings of 2^-53 at the worst.
  EXPECT_NEAR(bootstrap_standard_error(items, mean, 2000), c.at("stderr_mean_iters_2000").get<double>(),
              2e-13);
  EXPECT_NEAR(bootstrap_standard_error(items, exponential, 2000),
              c.at("stderr_exp_neg_mean_iters_2000").get<double>(), 2e-13);
  // What is beyond whole thousands is left out.
  EXPECT_EQ(bootstrap_standard_error(items, mean, 2500), bootstrap_standard_error(items, mean, 2000));
  EXPECT_TRUE(std::isnan(bootstrap_standard_error(items, mean, 1)));
}

}  // namespace
}  // namespace lethe::test
