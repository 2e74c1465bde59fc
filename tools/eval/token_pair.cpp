#include "tools/eval/token_pair.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "tools/eval/python_text.h"

namespace lethe::eval {

std::pair<std::string_view, std::string> move_spaces(std::string_view context,
                                                     std::string_view continuation) {
  const std::string_view kept = rstrip(context);
  std::string moved(context.substr(kept.size()));
  return {kept, moved.append(continuation)};
}

PairEncoder::PairEncoder(const Tokenizer& tokenizer, const EncodingOptions& options)
    : tokenizer_(&tokenizer), bos_(options.bos), prefix_id_(options.prefix_id) {
  if (prefix_id_ < 0) prefix_id_ = tokenizer.bos_id();
  if (prefix_id_ < 0) prefix_id_ = tokenizer.eos_id();
  if (prefix_id_ < 0)
    throw DataError("the tokenizer has neither a token that begins nor one that ends a sequence");
  prefix_text_ = tokenizer.decode({&prefix_id_, 1}, false);
  joins_spaces_ = encode_bare(" a").size() == 1;
}

std::vector<int32_t> PairEncoder::encode_bare(std::string_view text) const {
  return tokenizer_->encode(text, {.parse_special = true, .drop_unknown = true});
}

std::vector<int32_t> PairEncoder::encode(std::string_view text) const {
  const bool begins = !prefix_text_.empty() && text.starts_with(prefix_text_);
  if (bos_ == Bos::off || begins) return encode_bare(text);
  std::vector<int32_t> ids =
      tokenizer_->encode(text, {.add_special_tokens = true, .parse_special = true, .drop_unknown = true});
  const int32_t bos = tokenizer_->bos_id();
  if (bos_ == Bos::on && bos >= 0 && (ids.empty() || ids[0] != bos)) ids.insert(ids.begin(), bos);
  return ids;
}

namespace {

void require_tokens(const TokenPair& pair, std::string_view context, std::string_view continuation) {
  if (!pair.context.empty() && !pair.continuation.empty()) return;
  throw DataError(fmt::format("\"{}\" after a context of {} bytes has no token of its own: no score exists",
                              continuation, context.size()));
}

}  // namespace

TokenPair PairEncoder::pair(std::string_view context, std::string_view continuation) const {
  TokenPair made;
  if (context.empty()) {
    made.continuation = encode_bare(continuation);
    made.context = {prefix_id_};
    if (!made.continuation.empty() && made.continuation[0] == prefix_id_)
      made.continuation.erase(made.continuation.begin());
  } else {
    const auto [kept, moved] = move_spaces(context, continuation);
    std::string both(kept);
    const std::vector<int32_t> whole = encode(both.append(moved));
    made.context = encode(kept);
    const size_t behind = std::min(whole.size(), made.context.size());
    made.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(behind), whole.end());
  }
  require_tokens(made, context, continuation);
  return made;
}

TokenPair PairEncoder::apart(std::string_view before, std::string_view question,
                             std::string_view answer) const {
  TokenPair made{.context = encode(before)};
  const int32_t eos = tokenizer_->eos_id();
  if (made.context.size() > 1 && eos >= 0 && made.context.back() == eos) made.context.pop_back();
  const std::vector<int32_t> asked = encode_bare(question);
  made.context.insert(made.context.end(), asked.begin(), asked.end());
  const bool lacks_space = joins_spaces_ && !answer.starts_with(' ');
  made.continuation = encode_bare(lacks_space ? std::string(" ").append(answer) : answer);
  require_tokens(made, question, answer);
  return made;
}

ScoreRequest request_of(const TokenPair& pair, int64_t max_length) {
  if (std::ssize(pair.continuation) > max_length) {
    throw DataError(fmt::format("a continuation of {} tokens is longer than the {} that the model takes",
                                pair.continuation.size(), max_length));
  }
  ScoreRequest made{.input = pair.context, .targets = pair.continuation};
  made.input.insert(made.input.end(), pair.continuation.begin(), pair.continuation.end() - 1);
  if (std::ssize(made.input) > max_length)
    made.input.erase(made.input.begin(), made.input.end() - max_length);
  return made;
}

}  // namespace lethe::eval
