#include "data/unigram.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/error.h"

namespace lethe {
namespace {

void require_tokens(const TokenShard& shard) {
  if (shard.tokens() == 0) throw DataError(shard.path() + ": no token to count");
}

}  // namespace

double unigram_entropy(const TokenShard& shard) {
  require_tokens(shard);
  const auto total = static_cast<double>(shard.tokens());
  double entropy = 0.0;
  for (const int64_t count : count_tokens(shard)) {
    const double p = static_cast<double>(count) / total;
    if (count > 0) entropy -= p * std::log(p);
  }
  return entropy;
}

double unigram_cross_entropy(const TokenShard& train, const TokenShard& held_out) {
  require_tokens(held_out);
  if (train.header().tokenizer != held_out.header().tokenizer) {
    throw DataError(fmt::format("{} has tokenizer {}, {} has {}", train.path(), train.header().tokenizer,
                                held_out.path(), held_out.header().tokenizer));
  }
  const std::vector<int64_t> seen = count_tokens(train), asked = count_tokens(held_out);
  const double total = static_cast<double>(train.tokens()) + static_cast<double>(seen.size());
  double sum = 0.0;
  for (size_t id = 0; id < asked.size(); ++id) {
    const double p = (static_cast<double>(seen[id]) + 1.0) / total;
    if (asked[id] > 0) sum -= static_cast<double>(asked[id]) * std::log(p);
  }
  return sum / static_cast<double>(held_out.tokens());
}

}  // namespace lethe
