// The learning rate's course: a pure function of the step.
#pragma once

#include <cstdint>
#include <string>

#include "optim/duration.h"

namespace lethe {

struct ScheduleOptions {
  std::string name = "cosine";  // constant, linear, cosine, inverse_sqrt
  Duration warmup;
  double alpha_f = 0;           // cosine and linear: the end's multiplier
  Duration scale;               // inverse_sqrt: t_s; 0: as long as the warm-up
  Duration cooldown;            // inverse_sqrt: t_c
  double alpha_f_decay = 0;     // inverse_sqrt: f; 1 makes a trapezoid
  double alpha_f_cooldown = 0;  // inverse_sqrt: f_c
  // A warm-up or cooldown that the run is too short for: refused unless it is meant, as in a run cut short to
  // be compared with a longer one.
  bool may_exceed_run = false;
};

// With t = steps completed (0 at the first step), t_w the warm-up, T the run:
//   t < t_w       t / t_w; so the first step of a run with warm-up changes nothing
//   constant      1
//   linear        f + (1 - f) (1 - x),                 x = min(1, (t - t_w) / (T - t_w)), f = alpha_f
//   cosine        f + (1 - f) (1 + cos(pi x)) / 2      (Loshchilov & Hutter, "SGDR", 2017)
//   inverse_sqrt  until t_0 = max(T - t_c, t_w):  a(t) = f + (1 - f) / sqrt((t - t_w + t_s) / t_s), f =
//   alpha_f_decay;
//                 then a(t_0) + (f_c - a(t_0)) min(1, (t - t_0) / t_c)      (LLM Foundry)
// f = 1, f_c = 0 is the trapezoid of Biderman et al., "LoRA Learns Less and Forgets Less" (2024), elsewhere
// called warm-up, stable, decay.
struct ScheduleSpec {
  enum class Shape : uint8_t { constant, linear, cosine, inverse_sqrt };
  Shape shape = Shape::constant;
  int64_t steps = 0;  // of the run: T
  int64_t warmup = 0, cooldown = 0, scale = 0;
  double alpha_f = 0, alpha_f_decay = 0, alpha_f_cooldown = 0;
};

// The options in steps. Throws ConfigError naming the option ("schedule.warmup") for an unknown name,
// multipliers outside [0, 1], a cooldown that ends above the decay's limit or belongs to another schedule,
// times that exceed the run.
ScheduleSpec schedule_spec(const ScheduleOptions& options, const RunLength& run);

// The factor on the peak learning rate after `completed` steps, in [0, 1].
double multiplier(const ScheduleSpec& schedule, int64_t completed);

}  // namespace lethe
