#include "tools/eval/choice_run.h"

#include <exception>
#include <map>

#include "engine/error.h"
#include "tools/digest.h"
#include "tools/eval/choice_score.h"
#include "tools/eval/few_shot.h"
#include "tools/eval/gauntlet.h"
#include "tools/eval/statistics.h"

namespace lethe::eval {

ChoiceRun::ChoiceRun(const ChoiceTask& task, const RunOptions& options)
    : task_(&task),
      options_(options),
      shots_(options.shots.value_or(task.gauntlet ? task.gauntlet->shots : 0)) {
  Documents documents = Documents::find(options.data, task.files, task.name);
  file_ = documents.file();
  const bool other_file = shots_ > 0 && !task.shot_files.empty();
  const Documents pool =
      other_file ? Documents::find(options.data, task.shot_files, task.name + " with examples") : documents;
  if (options.limit > 0) documents.limit(static_cast<size_t>(options.limit));
  const auto drawn = draw_shots(task, documents, pool, shots_);
  for (size_t d = 0; d < documents.size(); ++d) {
    Item item{.example = task.example(documents.at(d)), .shots = drawn[d]};
    item.before = item.example.header;
    for (const int64_t p : item.shots) {
      const ChoiceExample shot = task.example(pool.at(static_cast<size_t>(p)));
      if (task.gauntlet && !item.before.empty()) item.before += "\n";
      item.before += task.gauntlet ? task.gauntlet->solved(shot) : shot.shot();
    }
    if (!task.group_key.empty()) item.group = documents.at(d).at(task.group_key).string();
    item.missing = item.example.size();
    items_.push_back(std::move(item));
  }
}

std::string ChoiceRun::prompt(const Item& item, size_t choice) const {
  if (!task_->gauntlet) return item.before + item.example.context(choice);
  return item.before + (item.before.empty() ? "" : "\n") + task_->gauntlet->asked(item.example, choice);
}

TokenPair ChoiceRun::tokens_of(const Item& item, size_t choice, const PairEncoder& encoder) const {
  const std::string text = prompt(item, choice), &answer = item.example.continuation(choice);
  if (!task_->gauntlet) return encoder.pair(text, answer);
  return encoder.apart(item.before, std::string_view(text).substr(item.before.size()), answer);
}

bool ChoiceRun::restore(const nlohmann::json& line) {
  const auto d = line.value("document", size_t{0});
  if (line.value("task", "") != name() || d >= items_.size()) return false;
  Item& item = items_[d];
  const auto values = line.value("log_likelihoods", std::vector<double>{});
  const auto greedy = line.value("greedy", std::vector<bool>{});
  const auto tokens = line.value("tokens", std::vector<int64_t>{});
  if (values.size() != item.example.size() || greedy.size() != values.size()) return false;
  if (tokens.size() != values.size()) return false;
  item.scores.clear();
  for (size_t i = 0; i < values.size(); ++i) item.scores.push_back({values[i], greedy[i]});
  item.tokens = tokens;
  item.missing = 0;
  decide(item);
  return true;
}

void ChoiceRun::encode(const PairEncoder& encoder) {
  for (size_t d = 0; d < items_.size(); ++d) {
    Item& item = items_[d];
    if (item.missing == 0) continue;
    item.scores.resize(item.example.size());
    item.tokens.resize(item.example.size());
    for (size_t i = 0; i < item.example.size(); ++i) origins_.push_back({d, i});
  }
  requests_.resize(origins_.size());
  // The gauntlet counts the last target too, which no model is given.
  const int64_t max_length = options_.max_length - (task_->gauntlet ? 1 : 0);
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 16)
  for (size_t r = 0; r < origins_.size(); ++r) {
    try {
      Item& item = items_[origins_[r].item];
      const size_t choice = origins_[r].choice;
      requests_[r] = request_of(tokens_of(item, choice, encoder), max_length);
      item.tokens[choice] = std::ssize(requests_[r].targets);
    } catch (...) {
#pragma omp critical(lethe_eval_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

void ChoiceRun::reset() {
  for (const Origin& origin : origins_) items_[origin.item].missing = items_[origin.item].example.size();
}

void ChoiceRun::decide(Item& item) const {
  std::vector<double> values;
  for (const Score& score : item.scores) values.push_back(score.log_likelihood);
  if (task_->gauntlet) {
    item.right = smallest_mean_loss(values, item.tokens) == item.example.gold;
    return;
  }
  const ChoicePick picked = pick(item.example.choices, values);
  item.right = picked.raw == item.example.gold;
  item.right_per_letter = picked.per_letter == item.example.gold;
}

std::optional<nlohmann::json> ChoiceRun::take(size_t request, const Score& score) {
  Item& item = items_[origins_[request].item];
  item.scores[origins_[request].choice] = score;
  if (--item.missing > 0) return std::nullopt;
  decide(item);
  return line_of(origins_[request].item);
}

nlohmann::json ChoiceRun::line_of(size_t index) const {
  const Item& item = items_[index];
  nlohmann::json line{
      {"task", name()},           {"document", index},         {"prompt_sha256", sha256(prompt(item, 0))},
      {"shots", item.shots},      {"gold", item.example.gold}, {"tokens", item.tokens},
      {"acc", item.right ? 1 : 0}};
  for (const Score& score : item.scores) {
    line["log_likelihoods"].push_back(score.log_likelihood);
    line["greedy"].push_back(score.greedy);
  }
  if (task_->acc_norm) line["acc_norm"] = item.right_per_letter ? 1 : 0;
  return line;
}

Summary ChoiceRun::summary_of(const std::string& part, const std::vector<const Item*>& items) const {
  std::vector<double> right, per_letter;
  for (const Item* item : items) {
    right.push_back(item->right ? 1 : 0);
    per_letter.push_back(item->right_per_letter ? 1 : 0);
  }
  Summary made{.task = part, .shots = shots_, .documents = std::ssize(items), .file = file_};
  const Metric accuracy{"acc", mean(right), mean_standard_error(right)};
  made.metrics.push_back(accuracy);
  if (task_->gauntlet) {
    const double baseline = task_->gauntlet->baseline;
    made.metrics.push_back(
        {"above_chance", above_chance(accuracy.value, baseline), accuracy.standard_error / (1 - baseline)});
  }
  if (task_->acc_norm)
    made.metrics.push_back({"acc_norm", mean(per_letter), mean_standard_error(per_letter)});
  return made;
}

Summary ChoiceRun::summary() const {
  std::vector<const Item*> done;
  std::map<std::string, std::vector<const Item*>> groups;
  for (const Item& item : items_) {
    if (item.missing > 0) continue;
    done.push_back(&item);
    if (!item.group.empty()) groups[item.group].push_back(&item);
  }
  if (done.empty()) throw DataError(name() + ": no document has a result");
  Summary made = summary_of(name(), done);
  for (const auto& [group, items] : groups) made.parts.push_back(summary_of(group, items));
  if (groups.empty()) return made;
  std::vector<double> errors;
  std::vector<int64_t> sizes;
  for (const Summary& part : made.parts) {
    errors.push_back(part.metrics[0].standard_error);
    sizes.push_back(part.documents);
  }
  made.metrics[0].standard_error = pooled_standard_error(errors, sizes);
  return made;
}

}  // namespace lethe::eval
