// The whole study on texts of a few kilobytes: base, sweep, runs, spectra, report; and the base taken from
// the cache.
#include "tools/study/study.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/rng.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

// Lines out of a small vocabulary; each domain has its own.
void write_texts(const std::string& folder, const std::vector<std::string>& words) {
  std::filesystem::create_directories(folder);
  const Rng rng(1, stream_of(folder.substr(folder.rfind('/'))));
  uint64_t position = 0;
  for (int file = 0; file < 40; ++file) {
    std::ofstream out(fmt::format("{}/{:02}.txt", folder, file));
    for (int line = 0; line < 20; ++line) {
      for (int word = 0; word < 8; ++word)
        out << words[rng.below(position++, words.size())] << (word == 7 ? "\n" : " ");
    }
  }
}

StudyOptions small_options(const std::string& folder) {
  StudyOptions o;
  o.name = "small";
  o.source = {folder + "/old"};
  o.target = {folder + "/new"};
  o.source_name = "old";
  o.target_name = "new";
  o.source_mix_fraction = 0.1;
  o.vocab_size = 320;
  o.hidden_size = 16;
  o.layers = 2;
  o.heads = 2;
  o.kv_heads = 1;
  o.intermediate_size = 24;
  o.sequence_length = 32;
  o.batch_size = 4;
  o.base_steps = 12;
  o.base_learning_rate = 1e-2;
  o.continue_steps = 8;
  o.ranks = {1, 4};
  o.learning_rates_full = {1e-3, 3e-3};
  o.learning_rates_lora = {1e-2};
  o.sweep_steps = 4;
  o.eval_points = 2;
  o.eval_tokens = 512;
  o.target_modules = {"q_proj", "v_proj", "down_proj"};
  o.threads = 2;
  o.cache_dir = folder + "/cache";
  return o;
}

std::map<std::string, int> count_kinds(const std::string& results) {
  std::map<std::string, int> counts;
  std::ifstream file(results);
  for (std::string line; std::getline(file, line);)
    ++counts[nlohmann::json::parse(line).at("kind").get<std::string>()];
  return counts;
}

TEST(Study, MakesEveryPartOfTheReportAndReusesItsBase) {
  const Folder folder;
  write_texts(folder.path() + "/old", {"the", "old", "sea", "was", "calm", "and", "grey", "that", "day"});
  write_texts(folder.path() + "/new", {"def", "return", "self", "import", "(x)", "==", "for", "in", "None"});
  const StudyRequest request{small_options(folder.path()), folder.path() + "/out", "./lethe study"};
  run_study(request);

  const auto counts = count_kinds(request.output + "/results.jsonl");
  EXPECT_EQ(counts.at("study"), 1);
  EXPECT_EQ(counts.at("run"), 4);            // base, full, two ranks
  EXPECT_EQ(counts.at("sweep"), 4);          // two rates, and one for each rank
  EXPECT_EQ(counts.at("point"), 4 * 3 * 2);  // runs, measurements with the one at the start, domains
  // Seven maps in two layers for full fine-tuning, three for each LoRA run.
  EXPECT_EQ(counts.at("spectrum"), 2 * (7 + 3 + 3));
  EXPECT_TRUE(std::filesystem::exists(request.output + "/report.html"));
  EXPECT_TRUE(std::filesystem::exists(request.output + "/runs/full/model.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(request.output + "/runs/lora-r4/adapter_config.json"));

  const auto base_of = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(request.options.cache_dir)) {
      if (entry.path().filename().string().starts_with("base-"))
        return entry.path() / "model" / "model.safetensors";
    }
    return std::filesystem::path();
  };
  const auto written = std::filesystem::last_write_time(base_of());
  run_study({request.options, folder.path() + "/again", request.command});
  EXPECT_EQ(std::filesystem::last_write_time(base_of()), written);
  // The same study gives the same measurements.
  const auto points = [](const std::string& results) {
    std::vector<nlohmann::json> found;
    std::ifstream file(results);
    for (std::string line; std::getline(file, line);) {
      if (auto json = nlohmann::json::parse(line);
          json.at("kind") == "point" || json.at("kind") == "spectrum")
        found.push_back(json);
    }
    return found;
  };
  EXPECT_EQ(points(request.output + "/results.jsonl"), points(folder.path() + "/again/results.jsonl"));
}

}  // namespace
}  // namespace lethe::test
