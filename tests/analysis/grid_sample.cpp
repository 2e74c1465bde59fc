#include "tests/analysis/grid_sample.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace lethe::analysis {
namespace {

using nlohmann::json;

constexpr double kBaseNew = 4, kBaseOld = 3, kError = 0.01;

// What one run of the sample is.
struct Trial {
  std::string family = "cpt", target = "python", method = "full", modules = "all";
  int64_t rank = 0, seed = 0, width = 256;
  double alpha_ratio = 2, rate = 1e-3, duration = 8, decay = 0, dropout = 0, replay = 0, scale = 1;
  double base_tokens = 1e8, base_share = 0.05;
  double learned = 0, forgot = 0;  // nats
  bool diverged = false;
};

class Writer {
 public:
  explicit Writer(const GridSample& sample) : sample_(sample) {
    add({{"kind", "study"},
         {"name", "Sample grid"},
         {"created", "2026-01-02T03:04:05Z"},
         {"device", "NVIDIA Sample"},
         {"version", "0.1.0"},
         {"command", "lethe grid sample.yaml"},
         {"model",
          {{"hidden_size", 256}, {"num_hidden_layers", 4}, {"parameters", 5'000'000}, {"vocab_size", 1024}}},
         {"sequence_length", 256},
         {"batch_tokens", 8192}});
    job("base-0", "base", {});
    run("base-0", {.family = "base", .target = ""}, nullptr);
    score("base-0", "learning", "python", "loss", kBaseNew);
    score("base-0", "learning", "gsm8k", "loss", kBaseNew);
    score("base-0", "forgetting", "english", "loss", kBaseOld);
    if (sample.benchmarks) {
      score("base-0", "forgetting", "hellaswag", "acc_norm", 0.4);
      score("base-0", "forgetting", "arc_easy", "acc_norm", 0.5);
    }
  }

  std::string text() const { return text_; }

  void add(const json& line) { text_ += line.dump() + "\n"; }

  void job(const std::string& id, const char* stage, const std::vector<std::string>& depends_on,
           double speed = 1000, double bytes = 1e9) {
    add({{"kind", "job"},
         {"job", id},
         {"stage", stage},
         {"depends_on", depends_on},
         {"seconds", 10},
         {"peak_bytes", bytes},
         {"tokens_per_second", speed},
         {"device", "NVIDIA Sample"},
         {"gpu_seconds", 10}});
  }

  void run(const std::string& id, const Trial& t, const json& base) {
    const bool adapter = t.method != "full", epochs = t.family == "ift";
    add({{"kind", "run"},
         {"job", id},
         {"base", base},
         {"family", t.family},
         {"target", t.target},
         {"method", t.method},
         {"rank", adapter ? json(t.rank) : json()},
         {"alpha", adapter ? json(t.alpha_ratio * static_cast<double>(t.rank)) : json()},
         {"modules", adapter ? json(t.modules) : json()},
         {"learning_rate", t.rate},
         {"seed", t.seed},
         {"weight_decay", t.decay},
         {"attention_dropout", t.dropout},
         {"replay", t.replay},
         {"scale", t.scale},
         {"duration_tokens", 1e6 * t.duration},
         {"epochs", epochs ? json(t.duration) : json()},
         {"steps", 100},
         {"trainable_parameters", adapter ? 10000 * t.rank : 5'000'000},
         {"diverged", t.diverged},
         {"width", t.width},
         {"base_tokens", t.base_tokens},
         {"base_target_share", t.base_share}});
  }

  void score(const std::string& id, const char* role, const char* name, const char* metric, const json& value,
             double error = kError) {
    add({{"kind", "score"},
         {"job", id},
         {"step", 100},
         {"tokens", 1e6},
         {"role", role},
         {"name", name},
         {"metric", metric},
         {"value", value},
         {"standard_error", error}});
  }

  std::string trial(const Trial& t) {
    const std::string id = "run-" + std::to_string(++count_);
    const double speed = t.rank == 0 ? 1000 : 850, bytes = t.rank == 0 ? 2e9 : 1.2e9;
    job(id, t.family == "cpt" ? "branch" : "train", {"base-0"}, speed, bytes);
    run(id, t, "base-0");
    const auto number = [&](double v) { return t.diverged ? json() : json(v); };
    score(id, "learning", t.target.c_str(), "loss", number(kBaseNew - t.learned));
    score(id, "forgetting", "english", "loss", number(kBaseOld + t.forgot));
    if (sample_.benchmarks && !t.diverged) {
      // The evaluation is a job of its own, which names what it looked at.
      const std::string evaluation = id + "-eval";
      job(evaluation, "eval", {"base-0", id});
      score(evaluation, "forgetting", "hellaswag", "acc_norm", 0.4 - 0.1 * t.forgot);
      score(evaluation, "forgetting", "arc_easy", "acc_norm", 0.5 - 0.3 * t.forgot);
    }
    return id;
  }

  void spectra(const std::string& id, double tokens, int64_t layers, int64_t rank90, int64_t intruders) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (const char* module : {"q_proj", "v_proj", "down_proj"}) {
        const int64_t rank = rank90 + layer;
        add({{"kind", "spectrum"},
             {"job", id},
             {"tokens", tokens},
             {"layer", layer},
             {"module", module},
             {"rows", 256},
             {"columns", 256},
             {"singular_values", {2.0, 1.0}},
             {"rank90", rank},
             {"stable_rank", 0.5 * static_cast<double>(rank)},
             {"effective_rank", 1.5 * static_cast<double>(rank)},
             {"intruder_dimensions", intruders}});
      }
    }
  }

 private:
  const GridSample& sample_;
  std::string text_;
  int count_ = 0;
};

Trial trial_of(const char* family, int64_t rank, double duration, double rate, int64_t seed) {
  const bool instructions = std::string(family) == "ift";
  const MethodRule rule = rule_of(rank, instructions);
  Trial t{.family = family,
          .target = instructions ? "gsm8k" : "python",
          .method = rank == 0 ? "full" : "lora",
          .rank = rank,
          .seed = seed,
          .rate = rate > 0 ? rate : rule.best,
          .duration = duration};
  t.learned = learned_by(rule, duration, t.rate, seed);
  t.forgot = rule.price * t.learned * t.learned;
  return t;
}

// Not the usual run, and `learned` and `forgot` less by these.
Trial less(Trial t, double learned, double forgot) {
  t.learned -= learned;
  t.forgot -= forgot;
  return t;
}

void add_settings(Writer& writer, int64_t seed) {
  const Trial full = trial_of("cpt", 0, 8, 0, seed), lora = trial_of("cpt", 16, 8, 0, seed);
  Trial t = less(full, 0.05, 0.02);
  t.decay = 0.1;
  writer.trial(t);
  t = less(full, 0.01, 0.01);
  t.dropout = 0.1;
  writer.trial(t);
  t = less(lora, 0.2, 0.05);
  t.modules = "attention";
  writer.trial(t);
  t = less(lora, 0.03, 0.01);
  t.modules = "mlp";
  writer.trial(t);
  t = less(lora, 0.1, 0.04);
  t.alpha_ratio = 0.5;
  writer.trial(t);
  t = less(lora, -0.02, -0.01);
  t.method = "dora";
  writer.trial(t);
  t = less(full, 0.02, 0.4);
  t.replay = 0.1;
  writer.trial(t);
  t = less(full, 0.3, 0.5);
  t.scale = 0.5;
  writer.trial(t);
  t = less(full, 0.1, -0.2);
  t.base_tokens = 4e8;
  writer.trial(t);
}

void add_samples(Writer& writer, const std::string& id, double pass, double unique) {
  writer.add({{"kind", "samples"},
              {"job", id},
              {"task", "gsm8k"},
              {"k", {1, 4, 16}},
              {"pass_at_k", {pass, 1.5 * pass, 2 * pass}},
              {"unique", unique}});
}

}  // namespace

MethodRule rule_of(int64_t rank, bool instructions) {
  if (rank == 0) return {0.4, 0.5, 1e-3, 0.010};
  if (rank == 4) return {0.2, 0.2, 1e-2, 0.004};
  return {instructions ? 0.4 : 0.3, 0.3, 1e-2, 0.006};
}

double learned_by(const MethodRule& rule, double duration, double rate, int64_t seed) {
  const double off = std::log10(rate / rule.best);
  return rule.share * std::log2(1 + duration) - 0.1 * off * off + rule.noise * static_cast<double>(seed - 1);
}

std::string grid_text(const GridSample& sample) {
  Writer writer(sample);
  if (sample.samples) add_samples(writer, "base-0", 0.05, 0.9);
  for (const char* family : {"cpt", "ift"}) {
    const bool instructions = std::string(family) == "ift";
    if (!(instructions ? sample.instructions : sample.pretraining)) continue;
    for (const int64_t rank : {0, 4, 16}) {
      for (int64_t seed = 0; seed < sample.seeds; ++seed) {
        for (const double duration : {1.0, 3.0, 8.0}) {
          const std::string id = writer.trial(trial_of(family, rank, duration, 0, seed));
          if (duration < 8) continue;
          const int64_t most = rank == 0 ? 60 : rank;
          for (const double tokens : {1e6, 3e6, 8e6})
            if (sample.spectra && !instructions)
              writer.spectra(id, tokens, 4, std::max<int64_t>(1, most * int64_t(tokens / 1e6) / 8),
                             rank == 0 ? 0 : 5 - rank / 8);
          if (sample.samples && instructions)
            add_samples(writer, id, 0.2 + 0.01 * static_cast<double>(seed), rank == 0 ? 0.5 : 0.7);
        }
      }
      if (!sample.rates || instructions) continue;
      const double best = rule_of(rank, instructions).best;
      for (const double factor : {0.1, std::sqrt(0.1), std::sqrt(10.0)})
        writer.trial(trial_of(family, rank, 8, best * factor, 0));
      Trial diverged = trial_of(family, rank, 8, 10 * best, 0);
      diverged.diverged = true;
      writer.trial(diverged);
    }
  }
  for (int64_t seed = 0; seed < sample.seeds; ++seed) {
    if (sample.settings) add_settings(writer, seed);
    if (!sample.widths) continue;
    for (const int64_t rank : {0, 16}) {
      Trial t = trial_of("cpt", rank, 8, 0, seed);
      t.width = 512;
      t.base_tokens = 2e8;
      writer.trial(less(t, -0.1, 0.05));
    }
  }
  return writer.text();
}

std::string file_of(const std::string& text) {
  static int count = 0;
  const std::string path =
      testing::TempDir() + "grid_" + std::to_string(getpid()) + "_" + std::to_string(++count) + ".jsonl";
  std::ofstream(path) << text;
  return path;
}

std::string grid_file(const GridSample& sample) {
  return file_of(grid_text(sample));
}

}  // namespace lethe::analysis
