#include "tools/study/grid/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "engine/checkpoint.h"
#include "engine/host_values.h"
#include "engine/log.h"
#include "tools/metrics/progress.h"
#include "tools/run/chat_files.h"

namespace lethe::grid {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json number(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

// Where an experiment's forgetting is seen first: what the base read most of.
std::vector<std::string> measured_of(const Run& run) {
  std::vector<std::string> names;
  if (run.experiment == nullptr) {
    for (const auto& [name, share] : run.base->texts) names.push_back(name);
    return names;
  }
  names = run.experiment->measured;
  if (names.empty() && !run.base->texts.empty()) names.push_back(run.base->texts.front().first);
  std::erase(names, run.experiment->target);
  names.push_back(run.experiment->target);
  return names;
}

bool is_learning(const Run& run, const std::string& text) {
  if (run.experiment != nullptr) return text == run.experiment->target;
  return !run.base->texts.empty() && text != run.base->texts.front().first;
}

json score_line(const std::string& id, const Run& run, const EvaluationRecord& e) {
  return {{"kind", "score"},
          {"job", id},
          {"step", e.step},
          {"tokens", e.tokens},
          {"role", is_learning(run, e.evaluation.domain) ? "learning" : "forgetting"},
          {"name", e.evaluation.domain},
          {"metric", "loss"},
          {"value", number(e.evaluation.loss)},
          {"standard_error", number(e.evaluation.standard_error)}};
}

RunData data_of(const Study& study, const Run& run, Texts& texts, const TrainOptions& o) {
  RunData data;
  data.tokenizer = texts.tokenizer(o.data.tokenizer);
  if (!o.data.chat_template.empty()) data.chat = open_chat_template(o.data.chat_template);
  const auto add = [&](const std::string& name, Part part, double share) {
    if (share <= 0) return;
    data.sources.push_back(texts.source(name, part, o));
    data.sources.back().weight = share;
  };
  if (run.experiment == nullptr) {
    for (const auto& [name, share] : run.base->texts) {
      add(name, study.text(name).for_bases > 0 ? Part::for_bases : Part::train, share);
    }
  } else {
    add(run.experiment->target, Part::train, 1 - run.replay);
    // Replay is of what the base read most of.
    if (run.replay > 0) {
      if (run.base->texts.empty())
        throw ConfigError("grid.bases." + run.base->name + ".texts", "are needed for replay");
      add(run.base->texts.front().first, Part::train, run.replay);
    }
  }
  for (const std::string& name : measured_of(run)) {
    data.domains.push_back({name, texts.source(name, Part::held_out, o).rows});
  }
  return data;
}

// The step at which a branch leaves its trunk: none of its schedule's steps before it is another's.
int64_t branch_step(const Run& run, const TrainOptions& o, const Duration& duration) {
  const Course c = course_of(run.experiment, o, duration, 0);
  return std::max<int64_t>(1, c.cooldown_start);
}

void take_beginning(const Place& place, const Job& job, int64_t step) {
  const fs::path from = place.folder(job.run.trunk), to = place.folder(job.id);
  const std::string name = fmt::format("step-{:08}", step);
  if (fs::exists(to / "checkpoints")) return;  // its own, from an earlier call
  fs::create_directories(to);
  if (!fs::exists(from / "checkpoints" / name))
    throw RunError(
        fmt::format("{}: the checkpoint {} that {} leaves from is gone", from.string(), name, job.id));
  const fs::path partial = to / "checkpoints.partial";
  fs::remove_all(partial);
  fs::create_directories(partial / name);
  for (const auto& file : fs::directory_iterator(from / "checkpoints" / name))
    fs::create_hard_link(file.path(), partial / name / file.path().filename());
  if (fs::exists(from / "first_factors") && !fs::exists(to / "first_factors"))
    fs::copy(from / "first_factors", to / "first_factors", fs::copy_options::recursive);
  fs::rename(partial, to / "checkpoints");
}

// The losses with the update's scale lowered: B times each factor, and then as it was.
std::vector<json> measure_scales(const Job& job, TrainingRun& run, const json& line) {
  std::vector<json> lines;
  if (job.run.scales.empty()) return lines;
  Session& session = run.session();
  std::map<std::string, std::vector<double>> factors;
  for (const int32_t i : session.state().trainable()) {
    const std::string& name = session.state()[i].name;
    if (name.find(".lora_B.") != std::string::npos) factors[name] = host_values(session, name);
  }
  for (const double scale : job.run.scales) {
    for (const auto& [name, values] : factors) {
      std::vector<double> scaled = values;
      for (double& v : scaled) v *= scale;
      set_host_values(session, name, scaled);
    }
    const std::string id = fmt::format("{}.scale{:g}", job.id, scale);
    json own = line;
    own["job"] = id;
    own["scale"] = scale;
    lines.push_back(own);
    for (const Evaluation& e : run.evaluate_all()) {
      lines.push_back(score_line(id, job.run, {run.step(), line.at("tokens"), e}));
    }
  }
  for (const auto& [name, values] : factors) set_host_values(session, name, values);
  return lines;
}

}  // namespace

double chosen_rate(const Run& run, const Journal& journal) {
  if (run.experiment == nullptr || run.learning_rate > 0) return run.learning_rate;
  double best = 0, least = std::numeric_limits<double>::infinity();
  for (const std::string& id : run.swept) {
    const double loss = journal.loss(id, run.experiment->target);
    if (!(loss < least)) continue;
    least = loss;
    best = std::stod(id.substr(id.rfind(".lr") + 3));
  }
  if (best == 0)
    throw RunError(fmt::format("{}: every run of its sweep diverged; give lower learning rates", run.label));
  return best;
}

PreparedRun prepare_job(const Study& study, const Place& place, const Job& job, Texts& texts, double rate) {
  Run run = job.run;
  run.learning_rate = rate;
  const bool fresh = run.experiment == nullptr;
  const std::string base = place.base_model(*run.base);
  TrainOptions o = options_of(study, run, fresh ? "" : base);
  if (fresh) {
    o.data.tokenizer = texts.tokenizer_of(*run.base);
  }
  RunData data = data_of(study, run, texts, o);
  const Course c = course_of(run.experiment, o, run.duration, data.rows_per_epoch());
  shape_schedule(run, c, o);
  o.train.eval_every = c.steps;
  o.train.keep_checkpoints = 0;
  o.output = place.folder(job.id);
  ModelSource model = open_model(o.model);
  if (fresh) {
    if (data.tokenizer->bos_id() >= 0) model.config.bos_token_id = data.tokenizer->bos_id();
    if (data.tokenizer->eos_id() >= 0) model.config.eos_token_ids = {data.tokenizer->eos_id()};
  }
  return prepare_run(o, std::move(model), std::move(data));
}

json run_line(const Job& job, const PreparedRun& run, double learning_rate, int64_t trainable,
              bool diverged) {
  const Run& r = job.run;
  const bool is_base = r.experiment == nullptr;
  const TrainOptions& o = run.options;
  const auto tokens = static_cast<double>(run.steps * o.train.batch_size * o.data.sequence_length);
  double target_share = 0;
  for (size_t i = 1; i < r.base->texts.size(); ++i) target_share += r.base->texts[i].second;
  if (!is_base) {
    target_share = 0;
    for (const auto& [name, share] : r.base->texts)
      if (name == r.experiment->target) target_share = share;
  }
  const bool epochs = r.duration.unit == Duration::Unit::epochs;
  return {{"kind", "run"},
          {"job", job.id},
          {"base", is_base ? json(nullptr) : json("base." + r.base->name)},
          {"family", is_base ? "base" : r.experiment->family},
          {"experiment", is_base ? json(nullptr) : json(r.experiment->name)},
          {"label", r.label},
          {"target", is_base ? json(nullptr) : json(r.experiment->target)},
          {"method", r.method},
          {"rank", r.rank > 0 ? json(r.rank) : json(nullptr)},
          {"alpha", r.rank > 0 ? json(r.alpha) : json(nullptr)},
          {"modules", r.rank > 0 ? json(r.modules) : json(nullptr)},
          {"learning_rate", is_base ? o.optimizer.learning_rate : learning_rate},
          {"seed", is_base ? o.train.seed : r.seed},
          {"weight_decay", o.optimizer.weight_decay},
          {"attention_dropout", run.spec.config.attention_dropout},
          {"replay", r.replay},
          {"scale", 1.0},
          {"duration_tokens", r.duration.unit == Duration::Unit::tokens ? r.duration.count : tokens},
          {"tokens", tokens},
          {"epochs", epochs ? json(r.duration.count) : json(nullptr)},
          {"steps", run.steps},
          {"sweep", job.id.find(".lr") != std::string::npos},
          {"trainable_parameters", trainable},
          {"diverged", diverged},
          {"width", run.model.config.hidden_size},
          {"base_tokens", r.base->duration.count > 0 && r.base->duration.unit == Duration::Unit::tokens
                              ? json(r.base->duration.count)
                              : json(nullptr)},
          {"base_target_share", target_share}};
}

Trained train_job(const Study& study, const Place& place, const Job& job, Texts& texts,
                  const Journal& journal, const std::function<bool()>& should_stop) {
  const double rate = chosen_rate(job.run, journal);
  PreparedRun prepared = prepare_job(study, place, job, texts, rate);
  const TrainOptions options = prepared.options;
  if (job.stage == "branch") {
    const int64_t step = branch_step(job.run, options, job.run.duration);
    take_beginning(place, job, step);
  }
  std::set<int64_t> leaves;
  for (const Duration& d : job.run.branches) leaves.insert(branch_step(job.run, options, d));
  TrainingRun run(std::move(prepared));
  run.resume();
  const bool finished_before = run.step() == run.prepared().steps;
  Trained made;
  made.device = run.session().backend().device().kind == DeviceKind::cpu ? "cpu" : "cuda";
  made.peak_bytes = run.session().plan().arena_bytes;
  std::vector<EvaluationRecord> last;
  ProgressBar bar;
  double seconds = 0, tokens = 0;
  bool diverged = false;
  int64_t tokens_seen = 0;
  const int64_t steps = run.prepared().steps;
  try {
    run.train({.on_step =
                   [&](const StepRecord& r) {
                     seconds += r.compute_seconds + r.data_seconds;
                     tokens += static_cast<double>(r.step_unpadded);
                     tokens_seen = r.tokens;
                     bar.update({.step = r.step,
                                 .total = r.steps,
                                 .tokens_per_second = tokens / std::max(seconds, 1e-9),
                                 .seconds_left = 0,
                                 .loss = r.result.loss,
                                 .learning_rate = r.learning_rate,
                                 .gradient_norm = r.result.gradient_norm});
                   },
               .on_evaluation =
                   [&](const EvaluationRecord& e) {
                     if (e.step == steps) last.push_back(e);
                   },
               .should_stop = should_stop,
               .should_save = [&](int64_t step) { return leaves.contains(step); }});
  } catch (const DivergedError& e) {
    log::warning(fmt::format("{}: {}", job.id, e.what()));
    diverged = true;
  }
  if (!diverged && run.step() < steps) return made;
  if (finished_before) {  // it was stopped between its last step and its lines
    for (const Evaluation& e : run.evaluate_all()) last.push_back({steps, tokens_seen, e});
  }
  const json line = run_line(job, run.prepared(), rate, run.trainable_parameters(), diverged);
  made.lines.push_back(line);
  if (diverged) {
    for (const std::string& name : measured_of(job.run)) {
      EvaluationRecord none{.step = steps, .tokens = tokens_seen};
      none.evaluation.domain = name;
      none.evaluation.loss = none.evaluation.standard_error = std::numeric_limits<double>::quiet_NaN();
      made.lines.push_back(score_line(job.id, job.run, none));
    }
  } else {
    for (const EvaluationRecord& e : last) made.lines.push_back(score_line(job.id, job.run, e));
    for (const json& l : measure_scales(job, run, line)) made.lines.push_back(l);
    if (job.run.exported) {
      fs::remove_all(place.model(job.id));
      run.export_model(place.model(job.id));
    }
  }
  made.tokens_per_second = seconds > 0 ? tokens / seconds : 0;
  made.finished = true;
  return made;
}

Trained score_base(const Study& study, const Place& place, const Job& job, Texts& texts, const RunEnd& end) {
  TrainingRun run(prepare_job(study, place, job, texts, 0));
  Trained made{.peak_bytes = run.session().plan().arena_bytes, .finished = true};
  made.device = run.session().backend().device().kind == DeviceKind::cpu ? "cpu" : "cuda";
  for (const Evaluation& e : run.evaluate_all()) {
    json line = score_line(job.subject, job.run, {0, 0, e});
    line["step"] = end.step;
    line["tokens"] = end.tokens;
    made.lines.push_back(line);
  }
  return made;
}

}  // namespace lethe::grid
