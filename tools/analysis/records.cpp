#include "tools/analysis/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <string_view>

#include "engine/error.h"
#include "tools/report/entry.h"

namespace lethe::analysis {
namespace {

using nlohmann::json;
using report::Entry;

constexpr int64_t kEndOfRun = -1;  // a score's step, until its run is known

std::string word(const Entry& entry, const char* key, std::initializer_list<std::string_view> known) {
  const std::string found = entry.text(key);
  if (std::find(known.begin(), known.end(), found) == known.end())
    entry.wrong(key, fmt::format("one of {}", fmt::join(known, ", ")).c_str());
  return found;
}

double number_or(const Entry& entry, const char* key, double if_null) {
  const double value = entry.number(key);
  return std::isnan(value) ? if_null : value;
}

StudyInfo study_of(const Entry& entry) {
  const Entry model = entry.child("model");
  return {.name = entry.text("name"),
          .created = entry.text("created"),
          .device = entry.text("device"),
          .version = entry.text("version"),
          .command = entry.text("command"),
          .hidden_size = model.integer("hidden_size"),
          .layers = model.integer("num_hidden_layers"),
          .parameters = model.integer("parameters"),
          .sequence_length = entry.integer("sequence_length"),
          .batch_tokens = entry.integer("batch_tokens")};
}

Job job_of(const Entry& entry) {
  return {.id = entry.text("job"),
          .stage = word(entry, "stage", {"base", "train", "branch", "score", "eval", "spectrum", "samples"}),
          .device = entry.text_or("device", ""),
          .depends_on = entry.texts("depends_on"),
          .seconds = entry.number("seconds"),
          .peak_bytes = entry.number("peak_bytes"),
          .tokens_per_second = entry.number("tokens_per_second"),
          .gpu_seconds = entry.number("gpu_seconds")};
}

Run run_of(const Entry& entry) {
  Run run{.job = entry.text("job"),
          .base = entry.text_or("base", ""),
          .family = word(entry, "family", {"base", "cpt", "ift"}),
          .target = entry.text_or("target", ""),
          .method = word(entry, "method", {"full", "lora", "rslora", "lora_plus", "dora", "pissa"}),
          .modules = entry.text_or("modules", ""),
          .rank = entry.integer_or("rank", 0),
          .alpha = entry.number("alpha"),
          .learning_rate = entry.number("learning_rate"),
          .seed = entry.integer("seed"),
          .weight_decay = number_or(entry, "weight_decay", 0),
          .attention_dropout = number_or(entry, "attention_dropout", 0),
          .replay = number_or(entry, "replay", 0),
          .scale = number_or(entry, "scale", 1),
          .duration_tokens = entry.number("duration_tokens"),
          .epochs = entry.number("epochs"),
          .steps = entry.integer("steps"),
          .trainable_parameters = entry.number("trainable_parameters"),
          .diverged = entry.boolean("diverged"),
          .width = entry.integer("width"),
          .base_tokens = entry.number("base_tokens"),
          .base_target_share = entry.number("base_target_share")};
  if (!run.is_full() && run.rank < 1) entry.wrong("rank", "at least 1 for an adapter");
  return run;
}

Score score_of(const Entry& entry) {
  const std::string role = word(entry, "role", {"learning", "forgetting"});
  return {.job = entry.text("job"),
          .step = entry.integer_or("step", kEndOfRun),
          .tokens = entry.number("tokens"),
          .role = role == "learning" ? Role::learning : Role::forgetting,
          .name = entry.text("name"),
          .metric = word(entry, "metric", {"loss", "accuracy", "acc_norm", "exact_match", "pass@1"}),
          .value = entry.number("value"),
          .standard_error = entry.number("standard_error")};
}

ChangeSpectrum spectrum_of(const Entry& entry) {
  return {.job = entry.text("job"),
          .module = entry.text("module"),
          .tokens = entry.number("tokens"),
          .layer = entry.integer("layer"),
          .rows = entry.integer("rows"),
          .columns = entry.integer("columns"),
          .rank90 = entry.integer("rank90"),
          .singular_values = entry.numbers("singular_values"),
          .stable_rank = entry.number("stable_rank"),
          .effective_rank = entry.number("effective_rank"),
          .intruder_dimensions = entry.integer_or("intruder_dimensions", -1)};
}

Samples samples_of(const Entry& entry) {
  Samples samples{.job = entry.text("job"),
                  .task = entry.text("task"),
                  .k = entry.numbers("k"),
                  .pass_at_k = entry.numbers("pass_at_k"),
                  .unique = entry.number("unique")};
  if (samples.k.size() != samples.pass_at_k.size()) entry.wrong("pass_at_k", "as long as key \"k\"");
  return samples;
}

// Collects lines into Records and, at the end, holds them against each other.
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

  Records finish() {
    if (!has_study_) throw FormatError(file_, "", "has no line of kind \"study\"");
    for (const auto& [job, where] : mentioned_) {
      if (!records_.run_of(job))
        throw FormatError(file_, where,
                          fmt::format("key \"job\": neither \"{}\" nor what it depends on has a run", job));
    }
    for (Score& score : records_.scores) {
      if (score.step == kEndOfRun) put_at_end(score, *records_.run_of(score.job));
    }
    return std::move(records_);
  }

 private:
  static void put_at_end(Score& score, const Run& run) {
    score.step = run.steps;
    if (std::isnan(score.tokens)) score.tokens = run.duration_tokens;
  }

  void add(const Entry& entry) {
    const std::string kind = entry.text("kind");
    if (!has_study_ && kind != "study") entry.fail("comes before the line of kind \"study\"");
    if (kind == "study") {
      if (has_study_) entry.fail("a second line of kind \"study\"");
      records_.study = study_of(entry);
      has_study_ = true;
    } else if (kind == "job") {
      Job job = job_of(entry);
      if (records_.find_job(job.id)) entry.fail(fmt::format("a second line of job \"{}\"", job.id));
      records_.jobs.push_back(std::move(job));
    } else if (kind == "run") {
      Run run = run_of(entry);
      for (const Run& known : records_.runs)
        if (known.job == run.job) entry.fail(fmt::format("a second run of job \"{}\"", run.job));
      records_.runs.push_back(std::move(run));
    } else if (kind == "score") {
      records_.scores.push_back(score_of(entry));
      mentioned_.emplace_back(records_.scores.back().job, entry.where());
    } else if (kind == "spectrum") {
      records_.spectra.push_back(spectrum_of(entry));
      mentioned_.emplace_back(records_.spectra.back().job, entry.where());
    } else if (kind == "samples") {
      records_.samples.push_back(samples_of(entry));
      mentioned_.emplace_back(records_.samples.back().job, entry.where());
    } else {
      entry.wrong("kind", "study, job, run, score, spectrum or samples");
    }
  }

  std::string file_;
  Records records_;
  bool has_study_ = false;
  std::vector<std::pair<std::string, std::string>> mentioned_;  // job, where
};

}  // namespace

const Job* Records::find_job(const std::string& id) const {
  const auto found = std::find_if(jobs.begin(), jobs.end(), [&](const Job& job) { return job.id == id; });
  return found == jobs.end() ? nullptr : &*found;
}

const Run* Records::run_of(const std::string& job) const {
  const auto own = std::find_if(runs.begin(), runs.end(), [&](const Run& run) { return run.job == job; });
  if (own != runs.end()) return &*own;
  const Job* const asked = find_job(job);
  const Run* base = nullptr;
  if (!asked) return nullptr;
  for (const std::string& before : asked->depends_on) {
    for (const Run& run : runs) {
      if (run.job != before) continue;
      if (!run.is_base()) return &run;
      base = &run;
    }
  }
  return base;
}

bool is_grid_study(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw IoError(path, "cannot be opened");
  std::string line;
  std::getline(file, line);
  const json object = json::parse(line, nullptr, false);
  return !object.is_object() || object.value("kind", "") != "study" || !object.contains("source");
}

Records read_records(const std::string& path) {
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

}  // namespace lethe::analysis
