// What a model that knows only how often each token occurs would reach: the floor that a trained one must
// beat.
#pragma once

#include "data/token_shard.h"

namespace lethe {

// Entropy of the shard's token frequencies, in nats a token. Throws DataError for a shard without tokens.
double unigram_entropy(const TokenShard& shard);

// Mean -log p(token) over the tokens of `held_out`, in nats, where p is (count + 1) / (tokens + vocab_size)
// over `train` (add-one smoothing). Throws DataError when the two have different tokenizers or held_out is
// empty.
double unigram_cross_entropy(const TokenShard& train, const TokenShard& held_out);

}  // namespace lethe
