// The options of a study's configuration. docs/options.md is generated from here.
#include "tools/options/study_options.h"

namespace lethe {
namespace {

using Type = OptionType;

std::vector<Option> text_options() {
  return {
      {"study.name", Type::text, "mini", AnyValue{}, "Name of the study, on its report."},
      {"study.source", Type::path_list, "[]", AnyValue{},
       "Files or folders of the old domain, which the base learns and may forget; an empty list stands for "
       "the "
       "prose found on this machine."},
      {"study.target", Type::path_list, "[]", AnyValue{},
       "Files or folders of the new domain; an empty list stands for the Python sources found on this "
       "machine."},
      {"study.source_name", Type::text, "prose", AnyValue{}, "What the report calls the old domain."},
      {"study.target_name", Type::text, "code", AnyValue{}, "What the report calls the new domain."},
      {"study.source_mix_fraction", Type::number, "0.05", from_to_below(0, 1),
       "Share of the base's training tokens that comes from the new domain (other documents than those "
       "learned "
       "later). With none, the embeddings of tokens never seen, which LoRA leaves frozen, decide the "
       "outcome."},
  };
}

std::vector<Option> model_options() {
  return {
      {"study.vocab_size", Type::integer, "2048", between(300, 1048576),
       "Vocabulary of the study's tokenizer.", "tokens"},
      {"study.hidden_size", Type::integer, "192", between(2, 65536), "Width of the residual stream."},
      {"study.layers", Type::integer, "4", between(1, 1024), "Transformer blocks."},
      {"study.heads", Type::integer, "6", between(1, 1024), "Attention heads."},
      {"study.kv_heads", Type::integer, "2", between(1, 1024),
       "Key and value heads; divides study.heads (grouped-query attention)."},
      {"study.intermediate_size", Type::integer, "512", between(1, 1048576), "Inner width of the MLP."},
      {"study.sequence_length", Type::integer, "256", between(2, 1048576), "Length of a sequence.", "tokens"},
      {"study.batch_size", Type::integer, "8", between(1, 65536), "Sequences per step.", "sequences"},
  };
}

std::vector<Option> course_options() {
  return {
      {"study.base_steps", Type::integer, "900", at_least(1), "Steps of the base's training.", "steps"},
      {"study.base_learning_rate", Type::number, "2e-3", above(0), "Peak learning rate of the base."},
      {"study.continue_steps", Type::integer, "200", at_least(1), "Steps of each continued run.", "steps"},
      {"study.ranks", Type::integer_list, "[4, 16, 64]", between(1, 65536),
       "Ranks of the LoRA runs, beside full fine-tuning."},
      {"study.learning_rates_full", Type::number_list, "[1e-4, 3e-4, 1e-3]", above(0),
       "Peak learning rates that the sweep tries for full fine-tuning."},
      {"study.learning_rates_lora", Type::number_list, "[1e-3, 3e-3, 1e-2]", above(0),
       "Peak learning rates that the sweep tries for LoRA at each rank."},
      {"study.sweep_steps", Type::integer, "30", at_least(1), "Steps of each run of the sweep.", "steps"},
      {"study.eval_points", Type::integer, "8", between(1, 10000),
       "Measurements along each continued run, beside the one at its start."},
      {"study.eval_tokens", Type::integer, "16384", at_least(1),
       "Held-out tokens of each domain per measurement.", "tokens"},
      {"study.target_modules", Type::text_list, "all",
       Choices{{"all", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}},
       "Linear maps that LoRA adapts: all, or a list of some of the seven."},
      {"study.seed", Type::integer, "0", at_least(0), "Seed of every random choice of the study."},
      {"study.threads", Type::integer, "0", between(0, 4096),
       "CPU threads; 0: all cores. Changes no result."},
      {"study.cache_dir", Type::path, ".lethe/cache", AnyValue{},
       "Folder for tokenized data and the trained base, kept between studies."},
  };
}

}  // namespace

const OptionTable& study_table() {
  static const OptionTable table = [] {
    std::vector<Option> all;
    for (const auto& part : {text_options(), model_options(), course_options()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return OptionTable("study", "Study configuration", std::move(all));
  }();
  return table;
}

}  // namespace lethe
