#include "tools/eval/training_examiner.h"

#include <algorithm>

#include "tools/eval/open_runs.h"
#include "tools/eval/scorer.h"
#include "tools/eval/writing_model.h"

namespace lethe::eval {
namespace {

Measure measure_of(const Summary& summary) {
  for (const char* name : {"acc_norm", "acc", "bits_per_byte"}) {
    const auto found = std::ranges::find(summary.metrics, name, &Metric::name);
    if (found == summary.metrics.end()) continue;
    return {.name = summary.task,
            .value = found->value,
            .standard_error = found->standard_error,
            .count = summary.documents,
            .lower_is_better = found->name == "bits_per_byte"};
  }
  const Metric& first = summary.metrics.front();
  return {.name = summary.task,
          .value = first.value,
          .standard_error = first.standard_error,
          .count = summary.documents};
}

class TrainingExaminer final : public Examiner {
 public:
  explicit TrainingExaminer(const PreparedRun& run)
      : eval_(run.options.eval),
        config_(run.model.config),
        tokenizer_(run.data.tokenizer),
        encoder_(*tokenizer_, {}),
        writing_{.precision = run.options.precision,
                 .device = run.options.device,
                 .threads = run.options.threads,
                 .max_length = run.model.config.max_position_embeddings} {
    data_ = {.data = eval_.data, .limit = eval_.limit, .max_length = config_.max_position_embeddings};
    if (eval_.shots >= 0) data_.shots = eval_.shots;
    generation_.shots = data_.shots;
    scored_ = open_scored_tasks(eval_.protocol, eval_.tasks, data_);
    open_written_tasks(eval_.protocol, eval_.tasks, data_, generation_);  // refused now, not after a step
    for (const auto& task : scored_) task->encode(encoder_);
    size_ = size_of_pass(scored_, run.spec.rows * run.spec.tokens, 0, can_branch(config_));
  }

  int64_t tokens() const override { return scored_.empty() ? 0 : size_.tokens; }
  int64_t positions() const override {
    int64_t longest = 0;
    for_each_request(
        [&](const ScoreRequest& r) { longest = std::max<int64_t>(longest, std::ssize(r.input)); });
    return longest;
  }

  void record(State& state, const Transformer& model, std::vector<std::unique_ptr<Tape>>& tapes) override {
    if (scored_.empty()) return;
    declare_scoring_inputs(state, size_);
    programs_ = record_scoring(state, model, size_, tapes);
  }

  std::vector<Measure> examine(Session& session, const std::function<SavedModel()>& save) override {
    std::vector<Measure> found;
    for (const auto& task : scored_) {
      task->reset();
      Scorer(session, programs_, can_branch(config_))
          .run(task->requests(), 0, [&](size_t request, const Score& score) { task->take(request, score); });
      found.push_back(measure_of(task->summary()));
    }
    const WrittenRuns written = open_written_tasks(eval_.protocol, eval_.tasks, data_, generation_);
    if (written.empty()) return found;
    const SavedModel saved = save();
    WritingOptions options = writing_;
    options.adapter = saved.adapter;
    for (const auto& task : written) {
      write_texts(
          saved.model, *tokenizer_, encoder_, *task, options, [](const nlohmann::json&) {}, [] {});
      found.push_back(measure_of(task->summary()));
    }
    return found;
  }

  int64_t tokens_examined() const override {
    int64_t tokens = 0;
    for_each_request([&](const ScoreRequest& r) { tokens += std::ssize(r.input); });
    return tokens;
  }

 private:
  template <class Visit>
  void for_each_request(const Visit& visit) const {
    for (const auto& task : scored_) std::ranges::for_each(task->requests(), visit);
  }

  TrainOptions::Eval eval_;
  LlamaConfig config_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  PairEncoder encoder_;
  WritingOptions writing_;
  RunOptions data_;
  GenerationOptions generation_;
  Runs scored_;
  PassLimits size_;
  std::vector<ScoringProgram> programs_;
};

}  // namespace

std::shared_ptr<Examiner> make_examiner(const PreparedRun& run) {
  if (run.options.eval.tasks.empty()) return nullptr;
  return std::make_shared<TrainingExaminer>(run);
}

}  // namespace lethe::eval
