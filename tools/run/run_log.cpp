#include "tools/run/run_log.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/report/figure_changes.h"

namespace lethe {

RunLog::RunLog(const std::string& folder, int64_t resumed_step, int64_t log_every)
    : metrics_(resumed_step > 0 ? MetricsLog::resume(folder + "/metrics.jsonl", resumed_step)
                                : MetricsLog::create(folder + "/metrics.jsonl")),
      folder_(folder),
      events_(folder + "/tensorboard", resumed_step > 0 ? resumed_step + 1 : 0),
      log_every_(log_every),
      first_step_(resumed_step + 1) {}

void RunLog::step(const StepRecord& r, const std::string& note) {
  const double seconds = r.compute_seconds + r.data_seconds + r.communication_seconds + r.checkpoint_seconds;
  seconds_ += seconds;
  unpadded_ += static_cast<double>(r.step_unpadded);
  const double rate = unpadded_ / seconds_;
  const double left =
      seconds_ / static_cast<double>(r.step - first_step_ + 1) * static_cast<double>(r.steps - r.step);
  progress_.update({.step = r.step,
                    .total = r.steps,
                    .tokens_per_second = rate,
                    .seconds_left = left,
                    .loss = r.result.loss,
                    .learning_rate = r.learning_rate,
                    .gradient_norm = r.result.gradient_norm,
                    .note = note});
  if (r.step % log_every_ != 0 && r.step != r.steps) return;
  const auto per_second = [&](int64_t count) { return static_cast<double>(count) / seconds; };
  metrics_.append({{"kind", "step"},
                   {"step", r.step},
                   {"loss", r.result.loss},
                   {"gradient_norm", r.result.gradient_norm},
                   {"learning_rate", r.learning_rate},
                   {"parameters_moved", r.share_moved},
                   {"tokens", r.tokens},
                   {"targets", r.targets},
                   {"all_tokens_per_second", per_second(r.step_tokens)},
                   {"tokens_per_second", per_second(r.step_unpadded)},
                   {"targets_per_second", per_second(r.result.targets)},
                   {"seconds",
                    {{"compute", r.compute_seconds},
                     {"communication", r.communication_seconds},
                     {"checkpoint", r.checkpoint_seconds},
                     {"data", r.data_seconds}}}});
  events_.scalar("train/loss", r.result.loss, r.step);
  events_.scalar("train/gradient_norm", r.result.gradient_norm, r.step);
  events_.scalar("train/learning_rate", r.learning_rate, r.step);
  events_.scalar("train/parameters_moved", r.share_moved, r.step);
  events_.scalar("speed/tokens_per_second", per_second(r.step_unpadded), r.step);
  events_.flush();
}

void RunLog::checkpoint(const CheckpointTimes& t) {
  metrics_.append(
      {{"kind", "checkpoint"},
       {"step", t.step},
       {"bytes", t.bytes},
       {"seconds", {{"stall", t.stall_seconds}, {"copy", t.copy_seconds}, {"write", t.write_seconds}}}});
  log::info(fmt::format("step {}: checkpoint of {} bytes, written in {:.1f} s, training waited {:.2f} s",
                        t.step, t.bytes, t.copy_seconds + t.write_seconds, t.stall_seconds));
}

void RunLog::evaluation(const EvaluationRecord& r) {
  const Evaluation& e = r.evaluation;
  metrics_.append({{"kind", "evaluation"},
                   {"step", r.step},
                   {"tokens", r.tokens},
                   {"domain", e.domain},
                   {"loss", e.loss},
                   {"accuracy", e.accuracy},
                   {"standard_error", e.standard_error},
                   {"targets", e.targets}});
  events_.scalar("loss/" + e.domain, e.loss, r.step);
  events_.scalar("accuracy/" + e.domain, e.accuracy, r.step);
  events_.flush();
  log::info(fmt::format("step {}: {} loss {:.4f} ± {:.4f}, accuracy {:.1f}%", r.step, e.domain, e.loss,
                        e.standard_error, 100 * e.accuracy));
}

void RunLog::examination(const Examination& e) {
  nlohmann::json line{{"kind", "examination"}, {"step", e.step},     {"tokens", e.tokens},
                      {"seconds", e.seconds},  {"learned", nullptr}, {"forgotten", nullptr}};
  std::string text = fmt::format("step {}:", e.step);
  const auto tell = [&](const char* name, const std::optional<double>& value) {
    if (!value) return;
    line[name] = *value;
    events_.scalar(std::string("change/") + name, *value, e.step);
    text += fmt::format(" {} {:+.4f},", name, *value);
  };
  tell("learned", e.learned);
  tell("forgotten", e.forgotten);
  for (const Measure& m : e.measures) {
    nlohmann::json& measure = line["measures"][m.name];
    measure = {{"value", m.value}, {"count", m.count}};
    if (!std::isnan(m.standard_error)) measure["standard_error"] = m.standard_error;
    events_.scalar("measure/" + m.name, m.value, e.step);
    text += fmt::format(" {} {:.4f},", m.name, m.value);
  }
  text.back() = ';';
  metrics_.append(line);
  events_.flush();
  log::info(text + fmt::format(" {:.1f} s", e.seconds));
  if (e.step == 0 || (!e.learned && !e.forgotten)) return;
  replace_file(folder_ + "/learning_and_forgetting.svg",
               report::changes_svg(report::changes_in(folder_ + "/metrics.jsonl")));
}

}  // namespace lethe
