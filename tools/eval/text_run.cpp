#include "tools/eval/text_run.h"

#include <cmath>
#include <exception>
#include <filesystem>
#include <limits>
#include <numbers>

#include "data/corpus.h"
#include "engine/error.h"
#include "tools/digest.h"
#include "tools/eval/documents.h"
#include "tools/eval/rolling.h"

namespace lethe::eval {

TextRun::TextRun(const TextTask& task, const RunOptions& options)
    : name_(task.name), predicts_bos_(true), options_(options) {
  Documents documents = Documents::find(options.data, task.files, task.name);
  if (options.limit > 0) documents.limit(static_cast<size_t>(options.limit));
  for (size_t d = 0; d < documents.size(); ++d)
    items_.push_back({.text = scored_text(task, documents.at(d).at(task.key).string())});
}

TextRun::TextRun(const std::string& path, const std::string& json_key, const RunOptions& options)
    : name_("text " + path), predicts_bos_(false), options_(options) {
  const TextTask as_it_is;
  Corpus({.paths = {path}, .json_key = json_key}).visit([&](Document&& document) {
    if (options.limit > 0 && std::ssize(items_) == options.limit) return;
    items_.push_back({.text = scored_text(as_it_is, document.text)});
  });
}

bool TextRun::restore(const nlohmann::json& line) {
  const auto d = line.value("document", size_t{0});
  if (line.value("task", "") != name_ || d >= items_.size()) return false;
  Item& item = items_[d];
  if (line.value("prompt_sha256", "") != sha256(item.text.scored)) return false;
  item.log_likelihood = line.at("log_likelihood");
  item.of_bos = line.at("log_likelihood_of_bos");
  item.tokens = line.at("tokens");
  item.done = true;
  return true;
}

void TextRun::add_windows(size_t index, const std::vector<int32_t>& tokens, int32_t prefix) {
  Item& item = items_[index];
  item.tokens = std::ssize(tokens);
  const auto add = [&](ScoreRequest request, bool is_bos) {
    if (request.targets.empty()) return;
    requests_.push_back(std::move(request));
    origins_.push_back({index, is_bos});
    ++item.missing;
  };
  std::vector<ScoreRequest> windows = rolling_windows(tokens, prefix, options_.max_length);
  // A token that the tokenizer put there is counted as the harness does, and told apart.
  if (!windows.empty() && tokens[0] == prefix) {
    add({{prefix}, {prefix}}, true);
    windows[0].targets.erase(windows[0].targets.begin());
  }
  for (ScoreRequest& window : windows) add(std::move(window), false);
}

void TextRun::encode(const PairEncoder& encoder) {
  std::vector<std::vector<int32_t>> tokens(items_.size());
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t d = 0; d < items_.size(); ++d) {
    if (items_[d].done) continue;
    try {
      const std::string& text = items_[d].text.scored;
      tokens[d] = predicts_bos_ ? encoder.encode(text) : encoder.encode_bare(text);
    } catch (...) {
#pragma omp critical(lethe_eval_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  for (size_t d = 0; d < items_.size(); ++d) {
    if (items_[d].done) continue;
    add_windows(d, tokens[d], encoder.prefix_id());
    items_[d].done = items_[d].missing == 0;  // an empty text
  }
}

void TextRun::reset() {
  for (const Origin& origin : origins_) {
    Item& item = items_[origin.item];
    item.log_likelihood = item.of_bos = 0;
    item.missing = 0;
    item.done = false;
  }
  for (const Origin& origin : origins_) ++items_[origin.item].missing;
}

std::optional<nlohmann::json> TextRun::take(size_t request, const Score& score) {
  Item& item = items_[origins_[request].item];
  item.log_likelihood += score.log_likelihood;
  if (origins_[request].is_bos) item.of_bos = score.log_likelihood;
  item.done = --item.missing == 0;
  if (!item.done) return std::nullopt;
  return line_of(origins_[request].item);
}

nlohmann::json TextRun::line_of(size_t index) const {
  const Item& item = items_[index];
  return {{"task", name_},
          {"document", index},
          {"prompt_sha256", sha256(item.text.scored)},
          {"log_likelihood", item.log_likelihood},
          {"log_likelihood_of_bos", item.of_bos},
          {"tokens", item.tokens},
          {"words", item.text.words},
          {"bytes", item.text.bytes}};
}

Summary TextRun::summary() const {
  double log_likelihood = 0, of_bos = 0, words = 0, bytes = 0, tokens = 0;
  Summary made{.task = name_};
  for (const Item& item : items_) {
    if (!item.done) continue;
    ++made.documents;
    log_likelihood += item.log_likelihood;
    of_bos += item.of_bos;
    words += item.text.words;
    bytes += item.text.bytes;
    tokens += static_cast<double>(item.tokens);
  }
  if (made.documents == 0) throw DataError(name_ + ": no document has a result");
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  const auto bits = [&](double nats) { return -nats / (bytes * std::numbers::ln2); };
  made.metrics = {{"word_perplexity", std::exp(-log_likelihood / words), none},
                  {"byte_perplexity", std::exp(-log_likelihood / bytes), none},
                  {"bits_per_byte", bits(log_likelihood), none},
                  {"nats_per_token", -log_likelihood / tokens, none}};
  if (of_bos != 0) made.metrics.push_back({"bits_without_bos", bits(log_likelihood - of_bos), none});
  return made;
}

}  // namespace lethe::eval
