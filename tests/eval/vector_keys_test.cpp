// Every vector is held against something.
#include <map>

#include "tests/eval/vectors.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

const std::map<std::string, std::vector<std::string>> kReadBy = {
    {"choice_vectors_test.cpp",
     {"mt19937",
      "sample_edge_cases",
      "lm_eval_fewshot_indices",
      "lm_eval_fewshot_late_docs",
      "olmes_subsample_first10",
      "fewshot_self_removal",
      "request_digests",
      "hellaswag_query",
      "hellaswag_ending",
      "hellaswag_preprocess",
      "hellaswag_capitalize",
      "winogrande_requests",
      "context_space_move",
      "encode_pair_llama2",
      "loglikelihood_truncation",
      "logits_cache_bug",
      "multiple_choice",
      "multiple_choice_more",
      "mean_stderr",
      "stderr_more",
      "bootstrap"}},
    {"gauntlet_vectors_test.cpp",
     {"mosaic_fewshot_indices", "mosaic_mc", "mosaic_prompts", "gauntlet_rescale", "gauntlet_files",
      "forgetting_example"}},
    {"generation_vectors_test.cpp",
     {"stop_truncation", "gsm8k_extraction", "gsm8k_extraction_more", "gsm8k_old_task_version",
      "gsm8k_prompts", "gsm8k_cot_8shot", "gsm8k_cot_prompts", "pass_at_k", "pass_at_k_more",
      "humaneval_requests", "humaneval_execution", "mbpp_prompts"}},
    {"text_vectors_test.cpp", {"rolling_windows", "rolling_windows_long", "wikitext", "wikitext_more"}}};

TEST_F(Vectors, AllAreRead) {
  std::vector<std::string> listed{"_about"};
  for (const auto& [file, keys] : kReadBy) {
    const std::string source = read_bytes(std::string(LETHE_SOURCE_DIR "/tests/eval/") + file);
    for (const std::string& key : keys) {
      EXPECT_NE(source.find("\"" + key + "\""), std::string::npos) << file << " does not read " << key;
      listed.push_back(key);
    }
  }
  std::ranges::sort(listed);
  EXPECT_EQ(listed, keys());
}

}  // namespace
}  // namespace lethe::test
