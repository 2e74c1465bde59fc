#include "tests/run/small_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "data/tokenizer_training.h"
#include "engine/checkpoint.h"
#include "engine/checkpoint_files.h"
#include "engine/files/safetensors.h"
#include "engine/rng.h"
#include "tools/run/run_log.h"

namespace lethe::test {
namespace {

// Sentences of a small vocabulary, drawn by number.
std::string sentences(uint64_t seed, uint64_t count) {
  static const char* words[] = {"the",  "sea",  "stone", "under", "moon",  "ran",
                                "slow", "bird", "and",   "old",   "river", "sang"};
  const Rng rng(seed, stream_of("sentences"));
  std::string text;
  for (uint64_t i = 0; i < count; ++i) {
    text += words[rng.below(2 * i, 12)];
    text += rng.below(2 * i + 1, 6) == 0 ? ".\n" : " ";
  }
  return text;
}

class Texts {
 public:
  Texts() {
    write_text(folder_ / "stories.txt", sentences(1, 900));
    std::string lines;
    for (uint64_t i = 0; i < 40; ++i)
      lines += nlohmann::json{{"text", sentences(100 + i, 5 + i)}}.dump() + "\n";
    write_text(folder_ / "verses.jsonl", lines);
    write_text(folder_ / "other.txt", sentences(3, 200));
    train_sentencepiece({Corpus({.paths = {folder_ / "stories.txt", folder_ / "verses.jsonl"}})},
                        {.vocab_size = 60, .byte_fallback = false}, folder_ / "tokenizer.model");
  }
  const std::string& path() const { return folder_.path(); }

 private:
  Folder folder_;
};

}  // namespace

const std::string& small_texts() {
  static const Texts texts;
  return texts.path();
}

std::string small_config(const std::string& folder) {
  const std::string& texts = small_texts();
  return fmt::format(R"(model.config:
  model_type: llama
  vocab_size: 60
  hidden_size: 16
  intermediate_size: 24
  num_hidden_layers: 2
  num_attention_heads: 4
  num_key_value_heads: 2
  max_position_embeddings: 64
  rms_norm_eps: 1.0e-5
  rope_theta: 10000.0
  tie_word_embeddings: false
data:
  train: [{{path: {0}/stories.txt, weight: 2}}, {{path: {0}/verses.jsonl, weight: 1}}]
  held_out: [{{name: other, path: {0}/other.txt}}]
  held_out_fraction: 0
  tokenizer: {0}/tokenizer.model
  sequence_length: 24
  cache_dir: {1}/cache
train:
  duration: 8 steps
  batch_size: 4
  micro_batch_size: 2
  eval_every: 2
  save_every: 3
  log_every: 1
optimizer.learning_rate: 0.01
schedule.warmup: 2 steps
threads: 2
output: {1}/run
)",
                     texts, folder);
}

TrainOptions small_options(const std::string& folder, const std::vector<std::string>& assignments) {
  Settings settings(train_table());
  settings.read_text(small_config(folder), "small");
  for (const std::string& a : assignments) settings.set(a);
  return train_options(settings);
}

std::map<std::string, std::string> saved_tensors(const std::string& directory) {
  std::map<std::string, std::string> tensors;
  for (const std::string& name : checkpoint_files::tensor_files(directory)) {
    const SafetensorsFile file(directory + "/" + name);
    for (const SafetensorsEntry& e : file.entries()) {
      const auto bytes = file.bytes(e);
      const std::string values(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      EXPECT_TRUE(tensors.emplace(e.name, values).second) << e.name << " was written twice";
    }
  }
  return tensors;
}

std::vector<std::string> timeless_metrics(const std::string& file) {
  std::vector<std::string> lines;
  std::istringstream text(read_bytes(file));
  for (std::string line; std::getline(text, line);) {
    auto object = nlohmann::json::parse(line);
    if (object.at("kind") == "checkpoint") continue;  // all about time, its place in the file too
    for (const char* key : {"seconds", "all_tokens_per_second", "tokens_per_second", "targets_per_second"})
      object.erase(key);
    lines.push_back(object.dump());
  }
  return lines;
}

Ran train_small(const TrainOptions& options, bool resume, int64_t stop_after) {
  TrainingRun run(prepare_run(options));
  run.prepared().data.keep_shards();
  const int64_t resumed = resume ? run.resume() : 0;
  std::filesystem::create_directories(options.output);
  Ran ran;
  {
    RunLog log(options.output, resumed, options.train.log_every);
    ran.last = run.train({.on_step = [&](const StepRecord& r) { log.step(r); },
                          .on_evaluation = [&](const EvaluationRecord& r) { log.evaluation(r); },
                          .should_stop = [&] { return run.step() == stop_after; }});
  }
  if (const auto newest = newest_checkpoint(options.output + "/checkpoints")) {
    ran.state = read_bytes(newest->directory + "/state.safetensors");
    ran.about = read_bytes(newest->directory + "/state.json");
  }
  if (ran.last == run.prepared().steps) {
    const bool lora = options.method == "lora";
    const std::string folder = run.export_model(options.output + "/trained");
    ran.exported = read_bytes(folder + (lora ? "/adapter_model.safetensors" : "/model.safetensors"));
  }
  ran.metrics = timeless_metrics(options.output + "/metrics.jsonl");
  return ran;
}

std::vector<std::string> differing_tensors(const Session& a, const Session& b) {
  std::vector<std::string> names;
  for (const int32_t t : tensors_to_save(a.state())) {
    const Buffer x = a.buffer(t), y = b.buffer(b.state().require(a.state()[t].name));
    const auto row = static_cast<size_t>(x.width * size_of(x.dtype));
    std::vector<std::byte> of_x(row), of_y(row);
    for (int64_t r = 0; r < x.rows; ++r) {
      const auto read = [&](const Session& from, const Buffer& m, std::vector<std::byte>& to) {
        from.backend().download(to.data(),
                                static_cast<const std::byte*>(m.data) + r * m.pitch * size_of(m.dtype),
                                static_cast<int64_t>(row));
      };
      read(a, x, of_x);
      read(b, y, of_y);
      if (of_x == of_y) continue;
      names.push_back(a.state()[t].name);
      break;
    }
  }
  return names;
}

}  // namespace lethe::test
