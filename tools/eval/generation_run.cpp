#include "tools/eval/generation_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "tools/digest.h"
#include "tools/eval/few_shot.h"
#include "tools/eval/statistics.h"

namespace lethe::eval {
namespace {

// 1, 2, 4, 8 ... and 10, 100 ..., as far as there are samples.
std::set<int64_t> numbers_of_tries(int64_t samples) {
  std::set<int64_t> found;
  for (int64_t k = 1; k <= samples; k *= 2) found.insert(k);
  for (int64_t k = 1; k <= samples; k *= 10) found.insert(k);
  return found;
}

}  // namespace

GenerationRun::GenerationRun(const GenerationTask& task, const RunOptions& data,
                             const GenerationOptions& options)
    : task_(&task), options_(options), documents_(Documents::find(data.data, task.files, task.name)) {
  if (data.limit > 0) documents_.limit(static_cast<size_t>(data.limit));
  shots_ = task.shot_files.empty() ? 0 : options.shots.value_or(task.shots);
  std::optional<Documents> pool;
  if (shots_ > 0) pool = Documents::find(data.data, task.shot_files, task.name + " with examples");
  const ChoiceTask rules{.first_shots = task.first_shots};
  const auto drawn = draw_shots(rules, documents_, pool ? *pool : documents_, shots_);
  for (size_t d = 0; d < documents_.size(); ++d) {
    Item item{.shots = drawn[d]};
    for (const int64_t p : item.shots) item.prompt += task.shot(pool->at(static_cast<size_t>(p)));
    item.prompt += task.question(documents_.at(d));
    const auto samples = static_cast<size_t>(options.samples);
    item.texts.resize(samples);
    item.answers.resize(samples);
    item.values.assign(task.metrics.size(), std::vector<double>(samples));
    item.missing = options.samples;
    items_.push_back(std::move(item));
  }
}

bool GenerationRun::restore(const nlohmann::json& line) {
  const auto d = line.value("document", size_t{0});
  if (line.value("task", "") != task_->name || d >= items_.size()) return false;
  Item item = items_[d];
  item.texts = line.value("texts", std::vector<std::string>{});
  item.answers = line.value("answers", std::vector<std::string>{});
  for (size_t m = 0; m < task_->metrics.size(); ++m) {
    item.values[m] = line.value(task_->metrics[m], std::vector<double>{});
    if (std::ssize(item.values[m]) != options_.samples) return false;
  }
  if (std::ssize(item.texts) != options_.samples || std::ssize(item.answers) != options_.samples)
    return false;
  item.missing = 0;
  items_[d] = std::move(item);
  return true;
}

std::vector<GenerationRun::Ask> GenerationRun::asks() const {
  std::vector<Ask> found;
  for (size_t d = 0; d < items_.size(); ++d) {
    for (int64_t s = 0; s < options_.samples && items_[d].missing > 0; ++s) found.push_back({d, s});
  }
  return found;
}

std::optional<nlohmann::json> GenerationRun::take(const Ask& ask, const std::string& text) {
  const Verdict verdict = task_->judge(documents_.at(ask.document), text, options_.python);
  const std::lock_guard lock(taking_);
  Item& item = items_[ask.document];
  const auto s = static_cast<size_t>(ask.sample);
  item.texts[s] = text;
  item.answers[s] = verdict.answer;
  for (size_t m = 0; m < item.values.size(); ++m) item.values[m][s] = verdict.values[m];
  if (--item.missing > 0) return std::nullopt;
  return line_of(ask.document);
}

nlohmann::json GenerationRun::line_of(size_t document) const {
  const Item& item = items_[document];
  nlohmann::json line{
      {"task", task_->name},    {"document", document},  {"prompt_sha256", sha256(item.prompt)},
      {"shots", item.shots},    {"stops", task_->stops}, {"texts", item.texts},
      {"answers", item.answers}};
  for (size_t m = 0; m < task_->metrics.size(); ++m) line[task_->metrics[m]] = item.values[m];
  return line;
}

Summary GenerationRun::summary() const {
  std::vector<const Item*> done;
  for (const Item& item : items_) {
    if (item.missing == 0) done.push_back(&item);
  }
  if (done.empty()) throw DataError(task_->name + ": no document has a result");
  Summary made{.task = task_->name, .shots = shots_, .documents = std::ssize(done)};
  for (size_t m = 0; m < task_->metrics.size(); ++m) {
    for (const int64_t k : numbers_of_tries(options_.samples)) {
      std::vector<double> values;
      for (const Item* item : done) {
        const auto passed = std::ranges::count_if(item->values[m], [](double v) { return v > 0; });
        values.push_back(pass_at(options_.samples, passed, k));
      }
      const bool one = options_.samples == 1 && !task_->runs_programs;
      const std::string& name = task_->metrics[m];
      made.metrics.push_back(
          {one ? name : fmt::format("{}@{}", name, k), mean(values), mean_standard_error(values)});
    }
  }
  return made;
}

}  // namespace lethe::eval
