#include "tools/study/experiment.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/tokenizer_training.h"
#include "data/unigram.h"
#include "engine/log.h"
#include "engine/rng.h"
#include "tools/metrics/progress.h"
#include "tools/run/model_tokenizer.h"
#include "tools/run/signals.h"
#include "tools/run/study_model.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

// Documents held out of each domain; a few percent of a small corpus are enough tokens to measure by.
constexpr double kHeldOut = 0.05;

TrainOptions::Data data_options(const StudyOptions& o) {
  TrainOptions::Data data;
  data.text_key = "text";
  data.format = "jsonl";
  data.sequence_length = o.sequence_length;
  data.packing = "stream";
  data.document_mask = true;
  data.cache_dir = o.cache_dir;
  data.add_bos = true;
  return data;
}

// Learned from the base's own text: the old domain with the mix.
std::string train_tokenizer(const StudyOptions& o, const StudyTexts& texts) {
  const std::string key =
      fmt::format("{}|{}|{}|{}|{}|{}", o.vocab_size, fs::absolute(o.cache_dir).string(), texts.source.bytes,
                  texts.source.description, texts.mix.bytes, texts.mix.description);
  const fs::path path =
      fs::path(o.cache_dir) / fmt::format("tokenizer-{:016x}", stream_of(key)) / "tokenizer.model";
  if (fs::exists(path)) return path.string();
  log::info(fmt::format("learning a vocabulary of {} pieces", o.vocab_size));
  fs::create_directories(path.parent_path());
  TokenizerTraining training;
  training.vocab_size = o.vocab_size;
  training.max_bytes = int64_t{4} << 20;
  train_sentencepiece({Corpus({.paths = {texts.source.path}}), Corpus({.paths = {texts.mix.path}})}, training,
                      path.string());
  return path.string();
}

LlamaConfig config_of(const StudyOptions& o, const Tokenizer& tokenizer) {
  LlamaConfig c = study_model(o, tokenizer.vocab_size());
  if (tokenizer.bos_id() >= 0) c.bos_token_id = tokenizer.bos_id();
  if (tokenizer.eos_id() >= 0) c.eos_token_ids = {tokenizer.eos_id()};
  return c;
}

}  // namespace

std::string label_of(const std::string& method, int64_t rank) {
  return method == "lora" ? fmt::format("LoRA r={}", rank) : "Full fine-tuning";
}

StudyData prepare_study_data(const StudyOptions& o, const StudyTexts& texts) {
  StudyData made;
  made.tokenizer_path = train_tokenizer(o, texts);
  made.tokenizer = open_model_tokenizer(made.tokenizer_path);
  const TrainOptions::Data data = data_options(o);
  const RowOptions rows{.tokens_per_row = o.sequence_length};
  const auto open = [&](const StudyText& text, double held_out) {
    const TokenizedText shards = tokenize_text(text.path, data, *made.tokenizer, held_out);
    const auto shard = std::make_shared<const TokenShard>(shards.train, made.tokenizer->fingerprint());
    return std::pair{TrainingSource{text.path, 1, shard, make_rows(shard, rows)}, shards.held_out};
  };
  const auto measure = [&](const char* name, const std::string& path, double& entropy) {
    const auto shard = std::make_shared<const TokenShard>(path, made.tokenizer->fingerprint());
    made.domains.push_back({name, make_rows(shard, rows)});
    entropy = unigram_entropy(*shard);
  };
  const auto [source, source_held_out] = open(texts.source, kHeldOut);
  const auto [target, target_held_out] = open(texts.target, kHeldOut);
  made.source = source;
  made.target = target;
  made.mix = open(texts.mix, 0).first;
  measure("source", source_held_out, made.source_entropy);
  measure("target", target_held_out, made.target_entropy);
  return made;
}

double RunOutcome::last_loss(const std::string& domain) const {
  double loss = std::numeric_limits<double>::quiet_NaN();
  for (const EvaluationRecord& e : evaluations) {
    if (e.evaluation.domain == domain) loss = e.evaluation.loss;
  }
  return diverged ? std::numeric_limits<double>::quiet_NaN() : loss;
}

PreparedRun Experiment::prepare(const StudyRun& run, int64_t points) const {
  TrainOptions o;
  o.method = run.method;
  o.data = data_options(options_);
  o.data.shuffle_seed = options_.seed;
  o.data.tokenizer = data_.tokenizer_path;
  o.train.batch_size = o.train.micro_batch_size = options_.batch_size;
  o.train.seed = options_.seed;
  o.train.max_gradient_norm = 1;
  o.train.recompute = "none";
  o.train.eval_every = std::max<int64_t>(1, run.steps / std::max<int64_t>(1, points));
  o.train.eval_batches =
      std::max<int64_t>(1, options_.eval_tokens / (options_.batch_size * options_.sequence_length));
  o.train.duration = {static_cast<double>(run.steps), Duration::Unit::steps};
  o.optimizer = {
      .name = "adamw", .learning_rate = run.learning_rate, .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8};
  o.optimizer.weight_decay = run.is_base ? 0.1 : 0.0;
  // A tenth of the run to warm up, then a cosine to a hundredth: the paper's course for a run of its own.
  o.schedule.name = "cosine";
  o.schedule.warmup = {std::max(1.0, std::floor(0.1 * static_cast<double>(run.steps))),
                       Duration::Unit::steps};
  o.schedule.alpha_f = 0.01;
  o.precision = "float32";
  o.threads = options_.threads;
  if (run.method == "lora") {
    o.lora = {.rank = run.rank,
              .alpha = 2.0 * static_cast<double>(run.rank),
              .target_modules = options_.target_modules};
  }
  ModelSource model;
  if (run.is_base) {
    model.config = config_of(options_, *data_.tokenizer);
    model.initial_seed = static_cast<uint64_t>(options_.seed);
  } else {
    model = open_model_folder(base_folder_);
    o.model.path = base_folder_;
  }
  RunData data{.tokenizer = data_.tokenizer, .domains = data_.domains};
  if (run.is_base) {
    data.sources = {data_.source, data_.mix};
    data.sources[0].weight = 1 - options_.source_mix_fraction;
    data.sources[1].weight = options_.source_mix_fraction;
    if (options_.source_mix_fraction == 0) data.sources.pop_back();
  } else {
    data.sources = {data_.target};
  }
  return prepare_run(o, std::move(model), std::move(data));
}

RunOutcome Experiment::run(const StudyRun& run, int64_t points, const std::string& export_folder) const {
  const auto start = std::chrono::steady_clock::now();
  TrainingRun training(prepare(run, points));
  RunOutcome outcome{.trainable = training.trainable_parameters()};
  outcome.device = training.session().backend().device().kind == DeviceKind::cpu ? "cpu" : "cuda";
  ProgressBar bar;
  double seconds = 0, tokens = 0;
  try {
    training.train({.on_step =
                        [&](const StepRecord& r) {
                          seconds += r.compute_seconds + r.data_seconds;
                          tokens += static_cast<double>(r.step_unpadded);
                          bar.update({.step = r.step,
                                      .total = r.steps,
                                      .tokens_per_second = tokens / seconds,
                                      .seconds_left = seconds / static_cast<double>(r.step) *
                                                      static_cast<double>(r.steps - r.step),
                                      .loss = r.result.loss,
                                      .learning_rate = r.learning_rate,
                                      .gradient_norm = r.result.gradient_norm});
                        },
                    .on_evaluation = [&](const EvaluationRecord& e) { outcome.evaluations.push_back(e); },
                    .should_stop = [] { return SignalGuard::received() != 0; }});
  } catch (const DivergedError& e) {
    log::warning(fmt::format("{} at learning rate {}: {}", run.label, run.learning_rate, e.what()));
    outcome.diverged = true;
  }
  if (SignalGuard::received() != 0)
    throw RunError("stopped by a signal; a finished base stays in the cache for the next study");
  if (!export_folder.empty() && !outcome.diverged) training.export_model(export_folder);
  outcome.tokens_per_second = seconds > 0 ? tokens / seconds : 0;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

}  // namespace lethe
