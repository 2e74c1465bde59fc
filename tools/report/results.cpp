#include "tools/report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/report/entry.h"

namespace lethe::report {
namespace {

using nlohmann::json;

Method method_of(const Entry& entry) {
  const std::string word = entry.text("method");
  if (word == "full") return Method::full;
  if (word == "lora") return Method::lora;
  if (word == "base") return Method::base;
  entry.wrong("method", "full, lora or base");
}

ModelInfo model_of(const Entry& entry) {
  return {.hidden_size = entry.integer("hidden_size"),
          .num_hidden_layers = entry.integer("num_hidden_layers"),
          .num_attention_heads = entry.integer("num_attention_heads"),
          .num_key_value_heads = entry.integer("num_key_value_heads"),
          .intermediate_size = entry.integer("intermediate_size"),
          .vocab_size = entry.integer("vocab_size"),
          .parameters = entry.integer("parameters")};
}

Corpus corpus_of(const Entry& entry) {
  return {.name = entry.text("name"),
          .description = entry.text("description"),
          .licence = entry.text("licence"),
          .documents = entry.integer("documents"),
          .bytes = entry.integer("bytes"),
          .tokens = entry.integer("tokens"),
          .unigram_entropy = entry.number("unigram_entropy")};
}

Study study_of(const Entry& entry) {
  return {
      .name = entry.text("name"),
      .created = entry.text("created"),
      .device = entry.text("device"),
      .command = entry.text("command"),
      .version = entry.text("version"),
      .threads = entry.integer("threads"),
      .seconds = entry.number("seconds"),
      .model = model_of(entry.child("model")),
      .sequence_length = entry.integer("sequence_length"),
      .batch_tokens = entry.integer("batch_tokens"),
      .source = corpus_of(entry.child("source")),
      .target = corpus_of(entry.child("target")),
      .code_fraction = entry.has("source_mix") ? entry.child("source_mix").number("code_fraction") : unknown};
}

Run run_of(const Entry& entry) {
  return {.name = entry.text("run"),
          .label = entry.text("label"),
          .method = method_of(entry),
          .rank = entry.integer_or("rank", 0),
          .alpha = entry.number("alpha"),
          .learning_rate = entry.number("learning_rate"),
          .trainable_parameters = entry.integer("trainable_parameters"),
          .steps = entry.integer("steps"),
          .seconds = entry.number("seconds"),
          .tokens_per_second = entry.number("tokens_per_second")};
}

Point point_of(const Entry& entry) {
  const std::string domain = entry.text("domain");
  if (domain != "source" && domain != "target") entry.wrong("domain", "source or target");
  return {.run = entry.text("run"),
          .step = entry.integer("step"),
          .tokens = entry.number("tokens"),
          .on_target = domain == "target",
          .loss = entry.number("loss"),
          .accuracy = entry.number("accuracy"),
          .standard_error = entry.number("standard_error")};
}

SweepTrial trial_of(const Entry& entry) {
  return {.method = method_of(entry),
          .rank = entry.integer_or("rank", 0),
          .label = entry.text("label"),
          .learning_rate = entry.number("learning_rate"),
          .target_loss = entry.number("target_loss"),
          .source_loss = entry.number("source_loss"),
          .diverged = entry.boolean("diverged"),
          .chosen = entry.boolean("chosen")};
}

Spectrum spectrum_of(const Entry& entry) {
  return {.run = entry.text("run"),
          .tensor = entry.text("tensor"),
          .module = entry.text("module"),
          .layer = entry.integer_or("layer", -1),
          .rows = entry.integer("rows"),
          .columns = entry.integer("columns"),
          .rank90 = entry.integer("rank90"),
          .singular_values = entry.numbers("singular_values"),
          .stable_rank = entry.number("stable_rank"),
          .frobenius = entry.number("frobenius"),
          .relative_change = entry.number("relative_change")};
}

// Collects lines into Results and, at the end, holds them against each other.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void line(const std::string& text, int64_t number) {
    const std::string where = fmt::format("line {}", number);
    json object;
    try {
      object = json::parse(text);
    } catch (const json::parse_error& error) {
      throw FormatError(file_, where, error.what());
    }
    add(Entry(object, file_, where));
  }

  Results finish() {
    if (!has_study_) throw FormatError(file_, "", "has no line of kind \"study\"");
    for (const auto& [run, where] : mentioned_) {
      if (!results_.find_run(run) && run != "base") {
        throw FormatError(file_, where,
                          fmt::format("key \"run\": there is no line of kind \"run\" for \"{}\"", run));
      }
    }
    return std::move(results_);
  }

 private:
  void add(const Entry& entry) {
    const std::string kind = entry.text("kind");
    if (kind == "study") {
      if (has_study_) entry.fail("a second line of kind \"study\"");
      results_.study = study_of(entry);
      has_study_ = true;
    } else if (kind == "run") {
      Run run = run_of(entry);
      if (results_.find_run(run.name)) entry.fail(fmt::format("a second line of run \"{}\"", run.name));
      results_.runs.push_back(std::move(run));
    } else if (kind == "point") {
      results_.points.push_back(point_of(entry));
      mentioned_.emplace_back(results_.points.back().run, entry.where());
    } else if (kind == "sweep") {
      results_.sweep.push_back(trial_of(entry));
    } else if (kind == "spectrum") {
      results_.spectra.push_back(spectrum_of(entry));
      mentioned_.emplace_back(results_.spectra.back().run, entry.where());
    } else {
      entry.wrong("kind", "study, run, point, sweep or spectrum");
    }
  }

  std::string file_;
  Results results_;
  bool has_study_ = false;
  std::vector<std::pair<std::string, std::string>> mentioned_;  // run, where
};

}  // namespace

const Run* Results::find_run(const std::string& name) const {
  const auto found = std::find_if(runs.begin(), runs.end(), [&](const Run& run) { return run.name == name; });
  return found == runs.end() ? nullptr : &*found;
}

std::vector<Point> Results::points_of(const std::string& run, bool on_target) const {
  std::vector<Point> found;
  for (const Point& point : points) {
    if (point.run == run && point.on_target == on_target) found.push_back(point);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Point& a, const Point& b) { return a.step < b.step; });
  return found;
}

Results read_results(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw IoError(path, "cannot be opened");
  Reader reader(path);
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (!line.empty()) reader.line(line, number);
  }
  if (file.bad()) throw IoError(path, "cannot be read");
  return reader.finish();
}

}  // namespace lethe::report
