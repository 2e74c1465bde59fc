#include "model/config_keys.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lethe {
namespace {

// Sorted, so that a key is found by halving.
constexpr std::array model_keys = std::to_array<std::string_view>({
    "architectures",
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "no_rope_layer_interval",
    "no_rope_layers",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "original_max_position_embeddings",
    "pad_token_id",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "use_sliding_window",
    "vocab_size",
});
static_assert(std::ranges::is_sorted(model_keys));

constexpr std::array required_values = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"add_cross_attention", "false"},
    {"attention_multiplier", "null"},
    {"attn_logit_softcapping", "null"},
    {"auto_map", "null"},
    {"chunk_size_feed_forward", "0"},
    {"embedding_multiplier", "null"},
    {"final_logit_softcapping", "null"},
    {"is_encoder_decoder", "false"},
    {"logit_scale", "null"},
    {"logits_scaling", "null"},
    {"partial_rotary_factor", "1.0"},
    {"per_layer_config", "null"},
    {"pruned_heads", "{}"},
    {"quantization_config", "null"},
    {"query_pre_attn_scalar", "null"},
    {"residual_multiplier", "null"},
    {"rope_interleaved", "false"},
    {"scale_depth", "null"},
    {"scale_emb", "null"},
    {"tie_encoder_decoder", "false"},
});

// Bookkeeping, generation settings that old files keep here, and what other heads than a language model's
// use. pretraining_tp changed only the order of a sum.
constexpr std::array harmless_keys = std::to_array<std::string_view>({
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "is_decoder",
    "is_llama_config",
    "label2id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
});
static_assert(std::ranges::is_sorted(harmless_keys));

}  // namespace

bool is_model_key(std::string_view key) {
  return std::ranges::binary_search(model_keys, key);
}

std::optional<std::string> required_value(std::string_view key) {
  const auto found =
      std::ranges::find(required_values, key, &std::pair<std::string_view, std::string_view>::first);
  if (found == required_values.end()) return std::nullopt;
  return std::string(found->second);
}

bool is_harmless_key(std::string_view key) {
  // transformers' own bookkeeping: where a model came from, how it was last run.
  if (key.starts_with("_")) return true;
  return std::ranges::binary_search(harmless_keys, key);
}

}  // namespace lethe
