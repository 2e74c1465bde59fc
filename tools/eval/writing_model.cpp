#include "tools/eval/writing_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <thread>

#include "engine/error.h"
#include "tools/run/generator.h"

namespace lethe::eval {
namespace {

// Threads that take work as it comes. The first exception stops them and comes out of finish().
class Workers {
 public:
  explicit Workers(size_t count) {
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void add(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }
  void finish() {
    stop();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    for (std::thread& t : threads_) {
      if (t.joinable()) t.join();
    }
  }
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty() || failure_) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      try {
        task();
      } catch (...) {
        lock.lock();
        failure_ = std::current_exception();
        return;
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

// Ids at which a text ends: the model's own, and stops that are one special token.
std::vector<int32_t> ends_of(const LlamaConfig& config, const Tokenizer& tokenizer,
                             const GenerationTask& task) {
  std::vector<int32_t> ends(config.eos_token_ids.begin(), config.eos_token_ids.end());
  const auto add = [&](int32_t id) {
    if (id >= 0 && std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  };
  add(tokenizer.eos_id());
  for (const std::string& stop : task.stops) {
    const int32_t id = tokenizer.piece_id(stop);
    if (id >= 0 && tokenizer.is_special(id)) add(id);
  }
  return ends;
}

// The text of new tokens.
std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& prompt,
                    const std::vector<int32_t>& ids, bool with_prompt) {
  if (!with_prompt) return tokenizer.decode(ids);
  std::vector<int32_t> all(prompt.end() - std::min<std::ptrdiff_t>(std::ssize(prompt), 8), prompt.end());
  const std::string before = tokenizer.decode(all);
  all.insert(all.end(), ids.begin(), ids.end());
  const std::string text = tokenizer.decode(all);
  return text.starts_with(before) ? text.substr(before.size()) : tokenizer.decode(ids);
}

bool has_stop(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
              const std::vector<std::string>& stops) {
  constexpr std::ptrdiff_t window = 32;  // tokens, more than any stop has
  const std::vector<int32_t> tail(ids.end() - std::min(std::ssize(ids), window), ids.end());
  const std::string text = tokenizer.decode(tail);
  return std::ranges::any_of(stops, [&](const std::string& s) { return text.find(s) != text.npos; });
}

}  // namespace

void write_texts(const std::string& model, const Tokenizer& tokenizer, const PairEncoder& encoder,
                 GenerationRun& run, const WritingOptions& options,
                 const std::function<void(const nlohmann::json&)>& on_line,
                 const std::function<void()>& on_text) {
  const std::vector<GenerationRun::Ask> asks = run.asks();
  if (asks.empty()) return;
  const GenerationTask& task = run.task();
  ModelSource source = open_model_folder(model);
  const int64_t positions =
      options.max_length > 0 ? options.max_length : source.config.max_position_embeddings;
  const int64_t room = positions - run.max_new_tokens();
  if (room < 1) {
    throw ConfigError("max-new-tokens", fmt::format("{}: {} new tokens leave no room for a prompt in {}",
                                                    task.name, run.max_new_tokens(), positions));
  }
  const std::vector<int32_t> ends = ends_of(source.config, tokenizer, task);
  std::vector<GenerationRequest> requests;
  size_t longest = 1;
  for (const GenerationRun::Ask& ask : asks) {
    std::vector<int32_t> prompt =
        ask.sample > 0 && !requests.empty() && ask.document == asks[requests.size() - 1].document
            ? requests.back().prompt
            : encoder.encode(run.prompt(ask.document));
    if (std::ssize(prompt) > room) prompt.erase(prompt.begin(), prompt.end() - room);
    longest = std::max(longest, prompt.size());
    requests.push_back({.prompt = std::move(prompt),
                        .max_new_tokens = run.max_new_tokens(),
                        .sampling = {.temperature = run.options().temperature, .top_p = run.options().top_p},
                        .seed = run.options().seed + ask.document,
                        .sample = static_cast<uint64_t>(ask.sample),
                        .stop_ids = ends});
  }
  const bool is_cpu = options.device == "cpu" || (options.device == "auto" && !cuda_is_available());
  const int64_t batch = std::min<int64_t>(options.batch > 0 ? options.batch
                                          : is_cpu          ? 8
                                                            : 64,
                                          std::ssize(asks));
  Generator generator(std::move(source), {.adapter = options.adapter,
                                          .merge = options.merge,
                                          .precision = options.precision,
                                          .device = options.device,
                                          .slots = batch,
                                          .capacity = static_cast<int64_t>(longest) + run.max_new_tokens(),
                                          .prompt_tokens = is_cpu ? 128 : 2048,
                                          .threads = options.threads});
  std::mutex telling;
  Workers judges(task.runs_programs ? std::max(1u, std::thread::hardware_concurrency()) : 1);
  std::vector<std::vector<int32_t>> ids(requests.size());
  generator.run(
      requests,
      [&](size_t r, int32_t id) {
        ids[r].push_back(id);
        return !has_stop(tokenizer, ids[r], task.stops);
      },
      [&](size_t r, const Generated&) {
        judges.add([&, r] {
          std::string text =
              cut_at(text_of(tokenizer, requests[r].prompt, ids[r], options.decode_with_prompt), task.stops);
          const auto line = run.take(asks[r], text);
          const std::lock_guard lock(telling);
          if (line) on_line(*line);
          on_text();
        });
      });
  judges.finish();
}

}  // namespace lethe::eval
