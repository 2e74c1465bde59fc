#include "tests/tools/results_sample.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

namespace lethe::report {
namespace {

using nlohmann::json;

json rank_of(const SampleRun& run) {
  return run.rank > 0 ? json(run.rank) : json(nullptr);
}

json study() {
  const json source{{"name", "English prose"},
                    {"description", "books and manuals in plain text"},
                    {"licence", "public domain; GFDL-1.3 & others"},
                    {"documents", 812},
                    {"bytes", 9'812'345},
                    {"tokens", 2'712'345},
                    {"unigram_entropy", 6.41}};
  const json target{{"name", "Python code"},  {"description", "the Python standard library's <sources>"},
                    {"licence", "PSF-2.0"},   {"documents", 640},
                    {"bytes", 7'345'678},     {"tokens", 2'345'678},
                    {"unigram_entropy", 5.87}};
  const json model{{"hidden_size", 128},       {"num_hidden_layers", 4},   {"num_attention_heads", 4},
                   {"num_key_value_heads", 2}, {"intermediate_size", 344}, {"vocab_size", 2048},
                   {"parameters", 1'376'384}};
  return {{"kind", "study"},
          {"name", "mini"},
          {"created", "2026-01-02T03:04:05Z"},
          {"device", "CPU"},
          {"threads", 2},
          {"command", "./lethe study --output \"runs/mini\""},
          {"version", "0.1.0"},
          {"seconds", 431.0},
          {"model", model},
          {"sequence_length", 256},
          {"batch_tokens", 4096},
          {"source", source},
          {"target", target},
          {"source_mix", {{"code_fraction", 0.05}}}};
}

json point(const std::string& run, int64_t step, double tokens, const char* domain, double loss,
           double error) {
  const bool finite = std::isfinite(loss);
  return {{"kind", "point"},
          {"run", run},
          {"step", step},
          {"tokens", tokens},
          {"domain", domain},
          {"loss", finite ? json(loss) : json(nullptr)},
          {"accuracy", finite ? json(std::exp(-0.45 * loss)) : json(nullptr)},
          {"standard_error", error}};
}

constexpr double source_base = 3.412, target_base = 3.877;

void add_points(const Sample& sample, const SampleRun& run, std::string& text) {
  for (int64_t i = 0; i < sample.points; ++i) {
    const double share =
        sample.points > 1 ? static_cast<double>(i) / static_cast<double>(sample.points - 1) : 0;
    const double way = (1 - std::exp(-3.5 * share)) / (1 - std::exp(-3.5));
    const double lost = i >= run.nan_from ? NAN : 0;
    const int64_t step = 20 * i;
    const auto tokens = static_cast<double>(4096 * step);
    const double target = target_base - run.learned * way + lost;
    const double source = source_base + run.forgot * std::pow(share, 0.7) + lost;
    text += point(run.name, step, tokens, "target", target, sample.standard_error).dump() + "\n";
    text += point(run.name, step, tokens, "source", source, sample.standard_error).dump() + "\n";
  }
}

void add_base(const Sample& sample, std::string& text) {
  for (int64_t i = 0; i < sample.points; ++i) {
    const double way = std::exp(-0.5 * static_cast<double>(i));
    const auto tokens = static_cast<double>(200'000 * i);
    text +=
        point("base", 50 * i, tokens, "source", source_base + (7.62 - source_base) * way, 0.01).dump() + "\n";
    text +=
        point("base", 50 * i, tokens, "target", target_base + (7.62 - target_base) * way, 0.01).dump() + "\n";
  }
}

void add_spectra(const Sample& sample, const SampleRun& run, std::string& text) {
  const char* modules[] = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  for (int64_t layer = 0; layer < sample.layers; ++layer) {
    for (int64_t m = 0; m < 7; ++m) {
      const int64_t width = m == 1 || m == 2 ? 64 : 128;
      const int64_t most = run.rank > 0 ? std::min(run.rank, width) : width;
      const double decay =
          (run.rank > 0 ? 0.8 : 1.6) * static_cast<double>(1 + m % 3) / static_cast<double>(most);
      std::vector<double> values(static_cast<size_t>(width), 1e-9);
      double total = 0, sum = 0;
      for (int64_t k = 0; k < most; ++k) {
        values[static_cast<size_t>(k)] = 0.7 * std::exp(-decay * static_cast<double>(k)) /
                                         (1 + 0.02 * static_cast<double>((layer + 1) * k));
        total += values[static_cast<size_t>(k)] * values[static_cast<size_t>(k)];
      }
      int64_t rank90 = 0;
      while (sum < 0.9 * total)
        sum += values[static_cast<size_t>(rank90)] * values[static_cast<size_t>(rank90)], ++rank90;
      text += json{{"kind", "spectrum"},
                   {"run", run.name},
                   {"tensor", "model.layers." + std::to_string(layer) + "." + modules[m] + ".weight"},
                   {"layer", layer},
                   {"module", modules[m]},
                   {"rows", 128},
                   {"columns", width},
                   {"singular_values", values},
                   {"rank90", rank90},
                   {"stable_rank", total / 0.49},
                   {"frobenius", std::sqrt(total)},
                   {"relative_change", 0.1}}
                  .dump() +
              "\n";
    }
  }
}

void add_sweep(const SampleRun& run, std::string& text) {
  for (int i = 0; i < 4; ++i) {
    const double rate = run.learning_rate * std::pow(3.0, i - 1);
    const bool diverged = i == 3 && run.method == "full";
    text +=
        json{{"kind", "sweep"},
             {"method", run.method},
             {"rank", rank_of(run)},
             {"label", run.label},
             {"learning_rate", rate},
             {"target_loss",
              diverged ? json(nullptr) : json(target_base - run.learned * (0.7 - 0.1 * (i - 1) * (i - 1)))},
             {"source_loss", diverged ? json(nullptr) : json(source_base + 0.1)},
             {"diverged", diverged},
             {"chosen", i == 1}}
            .dump() +
        "\n";
  }
}

}  // namespace

Sample usual_sample() {
  return {.runs = {{"full", "Full fine-tuning", "full", 0, 1.82, 0.61, 3e-4},
                   {"lora-r4", "LoRA r4", "lora", 4, 1.21, 0.22, 2e-3},
                   {"lora-r16", "LoRA r16", "lora", 16, 1.45, 0.31, 2e-3},
                   {"lora-r64", "LoRA r64", "lora", 64, 1.59, 0.42, 2e-3}}};
}

std::string sample_text(const Sample& sample) {
  std::string text = study().dump() + "\n";
  if (sample.base) add_base(sample, text);
  for (const SampleRun& run : sample.runs) {
    text += json{{"kind", "run"},
                 {"run", run.name},
                 {"label", run.label},
                 {"method", run.method},
                 {"rank", rank_of(run)},
                 {"alpha", run.rank > 0 ? json(2 * run.rank) : json(nullptr)},
                 {"learning_rate", run.learning_rate},
                 {"trainable_parameters", run.rank > 0 ? 9'216 * run.rank : 1'376'384},
                 {"seconds", 41.5},
                 {"tokens_per_second", 21'345.6},
                 {"steps", 20 * (sample.points - 1)}}
                .dump() +
            "\n";
    add_points(sample, run, text);
    if (sample.spectra) add_spectra(sample, run, text);
    if (sample.sweep) add_sweep(run, text);
  }
  return text;
}

std::string sample_file(const Sample& sample) {
  static int count = 0;
  const std::string path =
      testing::TempDir() + "results_" + std::to_string(getpid()) + "_" + std::to_string(++count) + ".jsonl";
  std::ofstream(path) << sample_text(sample);
  return path;
}

}  // namespace lethe::report
