#include "tools/run/study_model.h"

namespace lethe {

LlamaConfig study_model(const StudyOptions& options, int64_t vocab_size) {
  LlamaConfig c;
  c.vocab_size = vocab_size;
  c.hidden_size = options.hidden_size;
  c.intermediate_size = options.intermediate_size;
  c.num_hidden_layers = options.layers;
  c.num_attention_heads = options.heads;
  c.num_key_value_heads = options.kv_heads;
  c.head_dim = options.hidden_size / options.heads;
  c.rms_norm_eps = 1e-5;
  c.max_position_embeddings = options.sequence_length;
  c.tie_word_embeddings = true;
  return c;
}

}  // namespace lethe
