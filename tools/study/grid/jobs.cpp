#include "tools/study/grid/jobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/error.h"

namespace lethe::grid {
namespace {

const std::vector<std::string>& modules_of(const std::string& name) {
  static const std::vector<std::string> attention{"q_proj", "k_proj", "v_proj", "o_proj"};
  static const std::vector<std::string> mlp{"gate_proj", "up_proj", "down_proj"};
  return name == "attention" ? attention : name == "mlp" ? mlp : lora_modules();
}

template <class T>
std::vector<T> or_one(const std::vector<T>& values, T otherwise) {
  return values.empty() ? std::vector<T>{otherwise} : values;
}

// Every combination of a method's lists but learning rates, seeds and durations.
std::vector<Run> variants_of(const Study& study, const Experiment& e, const Method& m) {
  std::vector<Run> made;
  for (const int64_t rank : or_one<int64_t>(m.ranks, 0)) {
    for (const double alpha : or_one(m.alphas, 2.0 * static_cast<double>(rank))) {
      for (const std::string& modules : or_one<std::string>(m.modules, "all")) {
        for (const double decay : or_one(m.weight_decays, 0.0)) {
          for (const double replay : or_one(m.replays, 0.0)) {
            Run r{.experiment = &e, .base = &study.base(e.base), .method = m.method};
            r.rank = rank;
            r.alpha = rank > 0 ? alpha : 0;
            r.modules = rank > 0 ? modules : "";
            r.weight_decay = decay;
            r.replay = replay;
            r.scales = m.scales;
            r.ratio = m.ratio;
            r.layers = {study.train, e.train, study.text(e.target).train, m.train};
            r.label = m.method;
            if (rank > 0) r.label += fmt::format("-r{}", rank);
            if (m.alphas.size() > 1) r.label += fmt::format("-a{:g}", alpha);
            if (rank > 0 && modules != "all") r.label += "-" + modules;
            if (!m.weight_decays.empty() && decay > 0) r.label += fmt::format("-wd{:g}", decay);
            if (replay > 0) r.label += fmt::format("-replay{:g}", replay);
            for (const double dropout : or_one(m.attention_dropouts, 0.0)) {
              made.push_back(r);
              made.back().attention_dropout = dropout;
              if (dropout > 0) made.back().label += fmt::format("-ad{:g}", dropout);
              if (!m.suffix.empty()) made.back().label += "-" + m.suffix;
            }
          }
        }
      }
    }
  }
  return made;
}

double in_steps(const Duration& d, const TrainOptions& o, int64_t rows_per_epoch) {
  const auto batch = static_cast<double>(o.train.batch_size);
  switch (d.unit) {
    case Duration::Unit::steps:
      return d.count;
    case Duration::Unit::tokens:
      return d.count / (batch * static_cast<double>(o.data.sequence_length));
    case Duration::Unit::epochs:
      if (rows_per_epoch > 0) return std::ceil(d.count * static_cast<double>(rows_per_epoch) / batch);
      break;
    case Duration::Unit::run:
      break;
  }
  throw ConfigError("durations", lethe::text_of(d) + " has no number of steps here");
}

class Graph {
 public:
  explicit Graph(const Study& study) : study_(study) {}

  std::vector<Job> take() {
    for (const Experiment& e : study_.experiments) {
      // A base that nothing continues is not trained.
      if (!ids_.contains("base." + e.base)) add_base(study_.base(e.base));
      add_experiment(e);
    }
    return std::move(jobs_);
  }

 private:
  void add(Job job) {
    if (!ids_.insert(job.id).second) throw ConfigError("grid", "two jobs would be called " + job.id);
    jobs_.push_back(std::move(job));
  }

  void add_base(const Base& b) {
    Run r{.base = &b, .label = "base"};
    r.duration = b.duration;
    r.layers = {study_.train, b.train};
    r.exported = true;
    add({.id = "base." + b.name, .stage = "base", .run = r});
  }

  // What looks at a finished run's model.
  void add_readers(const Job& job, bool spectrum) {
    const Experiment& e = *job.run.experiment;
    if (spectrum) add({job.id + ".spectrum", "spectrum", {job.id}, job.run, job.id});
    if (!e.benchmarks.empty()) add({job.id + ".eval", "eval", {job.id}, job.run, job.id});
  }

  void add_experiment(const Experiment& e) {
    const std::string base = "base." + e.base;
    Run r{.experiment = &e, .base = &study_.base(e.base), .label = "base"};
    // An adapter that has not moved: the base's losses without gradients of its weights.
    Run scored = r;
    scored.method = "lora";
    scored.rank = 1;
    scored.alpha = 1;
    scored.modules = "all";
    scored.duration = e.durations.front();
    scored.layers = {study_.train, e.train, study_.text(e.target).train};
    add({fmt::format("{}.base.score", e.name), "score", {base}, scored, base});
    if (!e.benchmarks.empty()) add({fmt::format("{}.base.eval", e.name), "eval", {base}, r, base});
    for (const Method& m : e.methods) {
      for (const Run& variant : variants_of(study_, e, m)) add_method(e, m, variant, base);
    }
  }

  void add_method(const Experiment& e, const Method& m, const Run& variant, const std::string& base) {
    std::vector<Run> chosen;
    if (m.every_rate) {
      for (const double rate : m.learning_rates) {
        chosen.push_back(variant);
        chosen.back().learning_rate = rate;
        chosen.back().label += fmt::format("-lr{:g}", rate);
      }
    } else {
      chosen.push_back(variant);
      choose_rate(e, m, chosen.back(), base);
    }
    for (Run& r : chosen) {
      settled_[e.name + "." + r.label] = r;
      for (const int64_t seed : or_default(m.seeds, e.seeds)) {
        r.seed = seed;
        add_runs(e, m, r, base);
      }
    }
  }

  template <class T>
  static const std::vector<T>& or_default(const std::vector<T>& own, const std::vector<T>& others) {
    return own.empty() ? others : own;
  }

  // One rate is taken as it is; of several a sweep tells the best.
  void choose_rate(const Experiment& e, const Method& m, Run& r, const std::string& base) {
    if (!m.learning_rate_of.empty()) {
      const std::string key = fmt::format("grid.experiments.{}.methods", e.name);
      auto found = settled_.find(e.name + "." + m.learning_rate_of);
      if (found == settled_.end()) found = settled_.find(m.learning_rate_of);
      if (found == settled_.end())
        throw ConfigError(
            key, fmt::format("learning_rate_of: no method before it is called {}", m.learning_rate_of));
      if (found->second.experiment->target != e.target)
        throw ConfigError(key, fmt::format("learning_rate_of: {} is of the target {}, this of {}",
                                           m.learning_rate_of, found->second.experiment->target, e.target));
      r.learning_rate = found->second.learning_rate;
      r.swept = found->second.swept;
      return;
    }
    if (m.learning_rates.size() == 1) {
      r.learning_rate = m.learning_rates[0];
      return;
    }
    r.learning_rate = 0;
    for (const double rate : m.learning_rates) {
      Run tried = r;
      tried.swept.clear();
      tried.scales.clear();
      tried.learning_rate = rate;
      tried.seed = e.sweep_seed;
      tried.duration = e.sweep.value_or(e.durations.back());
      const std::string id = fmt::format("{}.{}.lr{:g}", e.name, r.label, rate);
      add({id, "train", {base}, tried});
      r.swept.push_back(id);
    }
  }

  void add_runs(const Experiment& e, const Method& m, Run r, const std::string& base) {
    const std::vector<Duration>& durations = or_default(m.durations, e.durations);
    const std::string start = fmt::format("{}.{}.s{}", e.name, r.label, r.seed);
    std::vector<std::string> before{base};
    before.insert(before.end(), r.swept.begin(), r.swept.end());
    const bool spectrum = m.spectrum && r.seed == or_default(m.seeds, e.seeds).front();
    r.exported = spectrum || !e.benchmarks.empty();
    if (!e.branches) {
      for (const Duration& d : durations) {
        r.duration = d;
        const Job job{start + "." + short_text(d), "train", before, r};
        add(job);
        add_readers(job, spectrum);
      }
      return;
    }
    r.duration = durations.back();
    r.branches.assign(durations.begin(), durations.end() - 1);
    const Job trunk{start + "." + short_text(r.duration), "train", before, r};
    add(trunk);
    add_readers(trunk, spectrum);
    for (const Duration& d : r.branches) {
      Run b = r;
      b.branches.clear();
      b.duration = d;
      b.trunk = trunk.id;
      const Job job{start + "." + short_text(d), "branch", {trunk.id}, b};
      add(job);
      add_readers(job, spectrum);
    }
  }

  const Study& study_;
  std::vector<Job> jobs_;
  std::set<std::string> ids_;
  // By EXPERIMENT.label: the learning rate, or what tells it.
  std::map<std::string, Run> settled_;
};

}  // namespace

std::vector<Job> jobs_of(const Study& study) {
  return Graph(study).take();
}

std::string short_text(const Duration& d) {
  if (d.unit == Duration::Unit::epochs) return fmt::format("{:g}ep", d.count);
  if (d.unit == Duration::Unit::steps) return fmt::format("{:g}st", d.count);
  if (d.count >= 1e9) return fmt::format("{:g}B", d.count / 1e9);
  if (d.count >= 1e6) return fmt::format("{:g}M", d.count / 1e6);
  return fmt::format("{:g}K", d.count / 1e3);
}

TrainOptions options_of(const Study& study, const Run& run, const std::string& model_folder) {
  Settings s(train_table());
  for (size_t i = 0; i < run.layers.size(); ++i) {
    if (!run.layers[i].empty())
      s.read_text(run.layers[i], fmt::format("grid ({}, options {})", run.label, i + 1));
  }
  const auto set = [&](const char* name, const std::string& value) {
    s.set(fmt::format("{}={}", name, value));
  };
  if (run.rank > 0) {
    set("method", "lora");
    set("lora.rank", fmt::format("{}", run.rank));
    set("lora.alpha", fmt::format("{}", run.alpha));
    if (run.modules != "all")
      set("lora.target_modules", fmt::format("[{}]", fmt::join(modules_of(run.modules), ", ")));
    if (run.method == "rslora") set("lora.use_rslora", "true");
    if (run.method == "dora") set("lora.use_dora", "true");
    if (run.method == "pissa") set("lora.init", "pissa");
    if (run.method == "lora_plus") set("lora.plus_ratio", fmt::format("{}", run.ratio));
  }
  if (run.experiment != nullptr) {
    if (run.weight_decay > 0) set("optimizer.weight_decay", fmt::format("{}", run.weight_decay));
    if (run.attention_dropout != 0) set("train.attention_dropout", fmt::format("{}", run.attention_dropout));
    set("train.seed", fmt::format("{}", run.seed));
    set("data.shuffle_seed", fmt::format("{}", run.seed));
  }
  if (run.learning_rate > 0) set("optimizer.learning_rate", fmt::format("{}", run.learning_rate));
  if (model_folder.empty()) {
    YAML::Node model;
    if (run.base->config.empty() && run.base->config_path.empty()) {
      model["model"]["path"] = run.base->path;
    } else if (run.base->config.empty()) {
      model["model"]["config"] = run.base->config_path;
    } else {
      model["model"]["config"] = YAML::Load(run.base->config);
    }
    s.read_text(YAML::Dump(model), "grid.bases." + run.base->name + ".config");
    if (run.base->vocab_size > 0) set("model.config.vocab_size", fmt::format("{}", run.base->vocab_size));
    set("data.tokenizer", "none");
  } else {
    set("model.path", model_folder);
  }
  TrainOptions o = train_options(s);
  o.train.eval_batches =
      std::max<int64_t>(1, study.eval_tokens / (o.train.micro_batch_size * o.data.sequence_length));
  o.train.save_every = 0;
  return o;
}

Course course_of(const Experiment* e, const TrainOptions& o, const Duration& duration, int64_t rows) {
  const double steps = in_steps(duration, o, rows);
  Course c{.steps = std::max<int64_t>(1, std::llround(steps))};
  c.cooldown_start = c.steps;
  const RunLength length{
      .steps = c.steps,
      .steps_per_epoch = static_cast<double>(rows) / static_cast<double>(o.train.batch_size),
      .tokens_per_step = static_cast<double>(o.train.batch_size * o.data.sequence_length)};
  c.warmup = steps_of(o.schedule.warmup, length, "schedule.warmup");
  if (o.schedule.name == "inverse_sqrt" && e != nullptr)
    c.cooldown_start = std::min<int64_t>(c.steps, std::llround((1 - e->cooldown) * steps));
  return c;
}

void shape_schedule(const Run& run, const Course& c, TrainOptions& o) {
  const auto in_steps = [](int64_t n) { return Duration{static_cast<double>(n), Duration::Unit::steps}; };
  o.train.duration = in_steps(c.steps);
  if (o.schedule.name != "inverse_sqrt" || run.experiment == nullptr) return;
  o.schedule.cooldown = in_steps(c.steps - c.cooldown_start);
  if (c.warmup <= c.cooldown_start) return;
  // The same slope, said of a shorter warm-up with a lower peak.
  const bool rises = run.experiment->short_branches == "warmup";
  const int64_t top = rises ? std::min(c.steps, c.warmup) : c.cooldown_start;
  o.optimizer.learning_rate *= static_cast<double>(top) / static_cast<double>(c.warmup);
  o.schedule.warmup = in_steps(top);
  o.schedule.cooldown = in_steps(std::min(c.steps - top, c.steps - c.cooldown_start));
}

}  // namespace lethe::grid
