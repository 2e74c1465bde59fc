// Learning and forgetting while a model trains: what its measures say beside those of the base, when there is
// time for another, and what follows.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/run/examiner.h"

namespace lethe {

struct ExaminationRules {
  std::vector<std::string> learning, forgetting;  // names of measures; empty: that is not told
  double stop_when_forgotten = 0;                 // 0: never
  double max_share_of_time = 0;                   // of the run's time; 0: any
};

struct Examination {
  int64_t step = 0;
  int64_t tokens = 0;
  double seconds = 0;
  std::vector<Measure> measures;
  // The mean of what became better of `learning` and of what became worse of `forgetting`, since the base.
  std::optional<double> learned, forgotten;
  bool best = false;   // learned the most of those that did not forget too much
  bool stops = false;  // forgot too much
};

class Examinations {
 public:
  explicit Examinations(ExaminationRules rules) : rules_(std::move(rules)) {}

  // Throws ConfigError naming the option if a name in the rules is none of the measures', or if one list
  // names both losses and scores, which do not add up.
  void check(const std::vector<Measure>& measures) const;

  // The first is the base's.
  Examination take(int64_t step, int64_t tokens, double seconds, std::vector<Measure> measures);

  // Whether another now and the last one at the end stay within max_share_of_time. The seconds are those of
  // training so far and, as far as can be told, until the end.
  bool affordable(double trained, double to_come) const;

  double seconds() const { return seconds_; }
  bool begun() const { return !base_.empty(); }

  // What a run that is resumed must know. restore throws nlohmann::json::exception for anything else.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  std::optional<double> change(const std::vector<std::string>& names, const std::vector<Measure>& now,
                               bool for_the_better) const;

  ExaminationRules rules_;
  std::vector<Measure> base_;
  double seconds_ = 0, longest_ = 0;
  std::optional<double> best_;
};

}  // namespace lethe
