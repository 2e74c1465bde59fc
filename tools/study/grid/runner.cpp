#include "tools/study/grid/runner.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "engine/log.h"
#include "tools/run/signals.h"
#include "tools/study/grid/readers.h"

namespace lethe::grid {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Runner {
 public:
  explicit Runner(const Request& request)
      : request_(request),
        study_(read_study(request.file, request.assignments)),
        jobs_(jobs_of(study_)),
        place_{request.output},
        journal_((fs::create_directories(request.output), request.output + "/results.jsonl")),
        texts_(study_, request.output + "/texts"),
        start_(Clock::now()) {}

  bool run() {
    std::jthread spectra([this] { run_spectra(); });
    try {
      run_device();
    } catch (...) {
      over_ = true;
      throw;
    }
    device_done_ = true;
    spectra.join();
    if (failure_) std::rethrow_exception(failure_);
    clean();
    return std::ranges::all_of(jobs_, [&](const Job& j) { return journal_.finished(j.id); });
  }

 private:
  bool time_is_up() const {
    if (over_ || SignalGuard::received() != 0) return true;
    return request_.max_minutes > 0 && seconds_since(start_) > request_.max_minutes * 60;
  }

  bool ready(const Job& job) const {
    return std::ranges::all_of(job.depends_on, [&](const std::string& id) { return journal_.finished(id); });
  }

  void run_device() {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const Job& job = jobs_[i];
      if (job.stage == "spectrum" || journal_.finished(job.id)) continue;
      if (time_is_up()) return;
      log::info(fmt::format("[{} of {}] {}", i + 1, jobs_.size(), job.id));
      if (!run_one(job)) return;
      clean();
    }
  }

  // False: stopped before its end.
  bool run_one(const Job& job) {
    const auto begun = Clock::now();
    Trained made;
    if (job.stage == "eval") {
      made.lines = diverged(job.subject) ? std::vector<json>{}
                                         : eval_job(study_, place_, job, journal_.end_of(job.subject));
      made.finished = true;
      made.device = device_;
    } else if (job.stage == "score") {
      made = score_base(study_, place_, job, texts_, journal_.end_of(job.subject));
      device_ = made.device;
    } else if (job.stage == "base" && !job.run.base->path.empty()) {
      made = given_base(job);
    } else {
      made = train_job(study_, place_, job, texts_, journal_, [this] { return time_is_up(); });
      device_ = made.device;
    }
    const double seconds = spent(job) + seconds_since(begun);
    if (!made.finished) {
      std::ofstream(place_.folder(job.id) + "/seconds") << seconds << "\n";
      return false;
    }
    finish(job, made, seconds);
    return true;
  }

  double spent(const Job& job) const {
    double seconds = 0;
    std::ifstream(place_.folder(job.id) + "/seconds") >> seconds;
    return seconds;
  }

  Trained given_base(const Job& job) const {
    const ModelSource model = open_model_folder(job.run.base->path);
    Trained made{.device = device_, .finished = true};
    made.lines = {{{"kind", "run"},
                   {"job", job.id},
                   {"base", nullptr},
                   {"family", "base"},
                   {"target", nullptr},
                   {"method", "full"},
                   {"rank", nullptr},
                   {"alpha", nullptr},
                   {"modules", nullptr},
                   {"learning_rate", nullptr},
                   {"seed", 0},
                   {"weight_decay", 0.0},
                   {"attention_dropout", 0.0},
                   {"replay", 0.0},
                   {"scale", 1.0},
                   {"duration_tokens", nullptr},
                   {"tokens", 0},
                   {"epochs", nullptr},
                   {"steps", 0},
                   {"trainable_parameters", parameter_count(model.config)},
                   {"diverged", false},
                   {"width", model.config.hidden_size},
                   {"base_tokens", nullptr},
                   {"base_target_share", nullptr}}};
    return made;
  }

  void finish(const Job& job, const Trained& made, double seconds) {
    std::vector<json> lines;
    if (journal_.empty()) lines.push_back(study_line(job, made.device));
    lines.insert(lines.end(), made.lines.begin(), made.lines.end());
    lines.push_back(
        {{"kind", "job"},
         {"job", job.id},
         {"stage", job.stage},
         {"depends_on", job.depends_on},
         {"seconds", seconds},
         {"peak_bytes", made.peak_bytes > 0 ? json(made.peak_bytes) : json(nullptr)},
         {"tokens_per_second", made.tokens_per_second > 0 ? json(made.tokens_per_second) : json(nullptr)},
         {"device", made.device},
         {"gpu_seconds", made.device == "cuda" ? seconds : 0.0}});
    journal_.append(lines);
  }

  json study_line(const Job& job, const std::string& device) {
    const std::string folder = place_.base_model(*job.run.base);
    const LlamaConfig c = open_model_folder(folder).config;
    const TrainOptions o = options_of(study_, job.run, folder);
    return {{"kind", "study"},
            {"name", study_.name},
            {"created", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
            {"device", device},
            {"version", LETHE_VERSION},
            {"command", request_.command},
            {"model",
             {{"hidden_size", c.hidden_size},
              {"num_hidden_layers", c.num_hidden_layers},
              {"num_attention_heads", c.num_attention_heads},
              {"num_key_value_heads", c.num_key_value_heads},
              {"intermediate_size", c.intermediate_size},
              {"vocab_size", c.vocab_size},
              {"parameters", parameter_count(c)}}},
            {"sequence_length", o.data.sequence_length},
            {"batch_tokens", o.train.batch_size * o.data.sequence_length}};
  }

  // A run without a model to look at.
  bool diverged(const std::string& id) const {
    return !id.starts_with("base.") && !fs::exists(place_.model(id));
  }

  void run_spectra() {
    try {
      while (!time_is_up()) {
        const auto next = std::ranges::find_if(jobs_, [&](const Job& j) {
          return j.stage == "spectrum" && !journal_.finished(j.id) && ready(j);
        });
        if (next == jobs_.end()) {
          if (device_done_) return;
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          continue;
        }
        const auto begun = Clock::now();
        Trained made{.device = "cpu", .finished = true};
        if (!diverged(next->subject)) made.lines = spectrum_job(place_, *next);
        finish(*next, made, seconds_since(begun));
      }
    } catch (...) {
      failure_ = std::current_exception();
      over_ = true;
    }
  }

  // Checkpoints and models that no unfinished job reads. A base stays.
  void clean() const {
    for (const Job& job : jobs_) {
      if (!journal_.finished(job.id)) continue;
      const bool wanted = std::ranges::any_of(jobs_, [&](const Job& j) {
        return !journal_.finished(j.id) && std::ranges::find(j.depends_on, job.id) != j.depends_on.end();
      });
      const fs::path folder = place_.folder(job.id);
      if (!wanted || job.stage != "train") fs::remove_all(folder / "checkpoints");
      if (wanted || job.stage == "base") continue;
      fs::remove_all(folder / "model");
      fs::remove_all(folder / "first_factors");
    }
  }

  const Request& request_;
  Study study_;
  std::vector<Job> jobs_;
  Place place_;
  Journal journal_;
  Texts texts_;
  Clock::time_point start_;
  std::string device_ = "cpu";
  std::atomic<bool> over_ = false, device_done_ = false;
  std::exception_ptr failure_;
};

}  // namespace

bool run_grid(const Request& request) {
  const SignalGuard signals;
  return Runner(request).run();
}

}  // namespace lethe::grid
