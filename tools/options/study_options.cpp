#include "tools/options/study_options.h"

#include <algorithm>

#include "tools/options/train_options.h"

namespace lethe {

std::vector<StudyOptions::Run> StudyOptions::runs() const {
  std::vector<Run> all = {{"full", "full", 0}};
  for (const int64_t rank : ranks) {
    all.push_back({"lora-r" + std::to_string(rank), "lora", rank});
  }
  return all;
}

namespace {

void check_shape(const Settings& s, const StudyOptions& study) {
  if (study.hidden_size % study.heads != 0 || study.hidden_size / study.heads % 2 != 0) {
    s.refuse("study.heads", "must divide study.hidden_size, which is " + std::to_string(study.hidden_size) +
                                ", into heads of an even width (rotary embedding turns pairs)");
  }
  if (study.heads % study.kv_heads != 0) {
    s.refuse("study.kv_heads", "must divide study.heads, which is " + std::to_string(study.heads));
  }
}

template <class T>
void check_grid(const Settings& s, const std::string& name, std::vector<T> values) {
  if (values.empty()) {
    s.refuse(name, "needs at least one value");
  }
  std::sort(values.begin(), values.end());
  if (std::adjacent_find(values.begin(), values.end()) != values.end()) {
    s.refuse(name, "holds a value twice");
  }
}

}  // namespace

StudyOptions study_options(const Settings& s) {
  StudyOptions study{
      .name = s.get<std::string>("study.name"),
      .source = s.get<std::vector<std::string>>("study.source"),
      .target = s.get<std::vector<std::string>>("study.target"),
      .source_name = s.get<std::string>("study.source_name"),
      .target_name = s.get<std::string>("study.target_name"),
      .source_mix_fraction = s.get<double>("study.source_mix_fraction"),
      .vocab_size = s.get<int64_t>("study.vocab_size"),
      .hidden_size = s.get<int64_t>("study.hidden_size"),
      .layers = s.get<int64_t>("study.layers"),
      .heads = s.get<int64_t>("study.heads"),
      .kv_heads = s.get<int64_t>("study.kv_heads"),
      .intermediate_size = s.get<int64_t>("study.intermediate_size"),
      .sequence_length = s.get<int64_t>("study.sequence_length"),
      .batch_size = s.get<int64_t>("study.batch_size"),
      .base_steps = s.get<int64_t>("study.base_steps"),
      .base_learning_rate = s.get<double>("study.base_learning_rate"),
      .continue_steps = s.get<int64_t>("study.continue_steps"),
      .ranks = s.get<std::vector<int64_t>>("study.ranks"),
      .learning_rates_full = s.get<std::vector<double>>("study.learning_rates_full"),
      .learning_rates_lora = s.get<std::vector<double>>("study.learning_rates_lora"),
      .sweep_steps = s.get<int64_t>("study.sweep_steps"),
      .eval_points = s.get<int64_t>("study.eval_points"),
      .eval_tokens = s.get<int64_t>("study.eval_tokens"),
      .target_modules = resolve_target_modules(s, "study.target_modules"),
      .seed = s.get<int64_t>("study.seed"),
      .threads = s.get<int64_t>("study.threads"),
      .cache_dir = s.get<std::string>("study.cache_dir"),
  };
  check_shape(s, study);
  check_grid(s, "study.ranks", study.ranks);
  check_grid(s, "study.learning_rates_full", study.learning_rates_full);
  check_grid(s, "study.learning_rates_lora", study.learning_rates_lora);
  if (study.source_name == study.target_name) {
    s.refuse("study.target_name", "must differ from study.source_name");
  }
  return study;
}

}  // namespace lethe
