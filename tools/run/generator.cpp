#include "tools/run/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/error.h"
#include "engine/ops/argmax.h"
#include "engine/step_inputs.h"
#include "model/weights/load.h"
#include "tools/run/folded.h"
#include "tools/run/memory_budget.h"

namespace lethe {
namespace {

constexpr size_t kReadPrompts = 0, kNextTokens = 1;

}  // namespace

Generator::Generator(const std::string& folder, const GeneratorOptions& options)
    : Generator(open_model_folder(folder), options) {}

Generator::Generator(ModelSource source, const GeneratorOptions& options) : source_(std::move(source)) {
  const LlamaConfig& config = source_.config;
  std::optional<AdapterFiles> adapter;
  if (!options.adapter.empty()) adapter = open_adapter(options.adapter, config);
  const std::optional<LoraConfig> lora = adapter ? std::optional(adapter->config) : std::nullopt;
  const Precision precision = precision_of(options.precision);
  cache_ = {options.slots, options.capacity > 0 ? options.capacity : config.max_position_embeddings};
  if (cache_.slots < 1) throw ConfigError("slots", fmt::format("{} is no number of samples", cache_.slots));
  if (cache_.capacity > config.max_position_embeddings) {
    throw ConfigError("capacity", fmt::format("{} tokens pass the model's {} positions", cache_.capacity,
                                              config.max_position_embeddings));
  }
  slots_.resize(static_cast<size_t>(cache_.slots));
  prompt_tokens_ = std::max<int64_t>(1, options.prompt_tokens);

  auto state = std::make_unique<State>();
  declare_cached_inputs(*state, config, std::max(prompt_tokens_, cache_.slots), cache_, precision);
  model_ = std::make_unique<Transformer>(*state, config, precision, lora, false);
  std::vector<std::unique_ptr<Tape>> tapes;
  for (const auto& [name, tokens] :
       {std::pair{"read prompts", prompt_tokens_}, std::pair{"next tokens", cache_.slots}}) {
    auto tape = std::make_unique<Tape>(*state, name);
    logits_.push_back(model_->logits(*tape, cached_inputs(*tape, tokens, cache_)));
    tape->keep(logits_.back());
    most_probable_.push_back(ops::argmax(*tape, logits_.back()));
    tape->keep(most_probable_.back());
    tapes.push_back(std::move(tape));
  }
  auto backend = make_backend({.device = options.device, .threads = static_cast<int>(options.threads)});
  const int64_t budget = memory_budget(0, *backend);
  session_ = std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend), budget);
  fill_model(*session_, source_);
  if (adapter) load_adapter(*session_, *adapter, config);
  if (adapter && options.merge) fold_adapter(*session_, config, *lora);
}

void Generator::check(const GenerationRequest& request) const {
  if (request.prompt.empty()) throw ConfigError("prompt", "holds no token");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= config().vocab_size) {
      throw ConfigError("prompt",
                        fmt::format("{} lies outside the vocabulary of {}", id, config().vocab_size));
    }
  }
  if (std::ssize(request.prompt) + request.max_new_tokens > cache_.capacity) {
    throw ConfigError("prompt",
                      fmt::format("{} tokens of prompt and {} new ones pass the {} that a slot holds",
                                  request.prompt.size(), request.max_new_tokens, cache_.capacity));
  }
}

void Generator::add(Batch& batch, size_t slot, int32_t id) {
  Slot& s = slots_[slot];
  batch.ids.push_back(id);
  batch.positions.push_back(static_cast<int32_t>(s.kept));
  batch.rows.push_back(static_cast<int32_t>(static_cast<int64_t>(slot) * cache_.capacity + s.kept));
  ++s.kept;
}

// As much of the prompts as one program reads, slot after slot; false if none is left to read.
bool Generator::add_prompts(Batch& batch, const std::vector<GenerationRequest>& requests) {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].request < 0) continue;
    const std::vector<int32_t>& prompt = requests[static_cast<size_t>(slots_[slot].request)].prompt;
    while (slots_[slot].kept < std::ssize(prompt) && std::ssize(batch.ids) < prompt_tokens_) {
      add(batch, slot, prompt[static_cast<size_t>(slots_[slot].kept)]);
      if (slots_[slot].kept < std::ssize(prompt)) continue;
      batch.output_rows.push_back(static_cast<int32_t>(batch.ids.size()) - 1);
      batch.slots.push_back(slot);
    }
  }
  return !batch.ids.empty();
}

void Generator::add_last_tokens(Batch& batch, const std::vector<GenerationRequest>&,
                                const std::vector<Generated>& made) {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].request < 0) continue;
    add(batch, slot, made[static_cast<size_t>(slots_[slot].request)].ids.back());
    batch.output_rows.push_back(static_cast<int32_t>(batch.ids.size()) - 1);
    batch.slots.push_back(slot);
  }
}

void Generator::run_program(size_t program, Batch& batch) {
  const auto set = [&](const char* name, std::vector<int32_t>& values, int32_t padding) {
    values.resize(static_cast<size_t>(session_->buffer(name).rows * session_->buffer(name).width), padding);
    session_->set(name, values);
  };
  set(step::ids, batch.ids, 0);
  set(step::positions, batch.positions, 0);
  set(cached::rows, batch.rows, -1);
  set(cached::output_rows, batch.output_rows, 0);
  session_->run(program);
}

std::vector<std::byte> Generator::download(size_t program, Var var) const {
  const Buffer b = session_->buffer(program, var);
  std::vector<std::byte> bytes(static_cast<size_t>(b.rows * b.pitch * size_of(b.dtype)));
  session_->backend().download(bytes.data(), b.data, std::ssize(bytes));
  return bytes;
}

std::vector<int32_t> Generator::choose(size_t program, const Batch& batch,
                                       const std::vector<GenerationRequest>& requests,
                                       const std::vector<Generated>& made) {
  const auto request_of = [&](size_t i) { return static_cast<size_t>(slots_[batch.slots[i]].request); };
  std::vector<int32_t> chosen(batch.slots.size());
  bool drawn = false;
  for (size_t i = 0; i < chosen.size(); ++i)
    drawn = drawn || requests[request_of(i)].sampling.temperature > 0;
  if (chosen.empty()) return chosen;
  if (!drawn) {
    // Some bytes instead of all logits.
    const std::vector<std::byte> best = download(program, most_probable_[program]);
    std::memcpy(chosen.data(), best.data(), chosen.size() * sizeof(int32_t));
    return chosen;
  }
  host_logits_ = download(program, logits_[program]);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const GenerationRequest& request = requests[request_of(i)];
    const Rng rng(request.seed, stream_of("generate") + request.sample);
    chosen[i] = sample(logits_row(program, i), request.sampling, rng, made[request_of(i)].ids.size());
  }
  return chosen;
}

std::vector<float> Generator::logits_row(size_t program, size_t row) {
  Buffer logits = session_->buffer(program, logits_[program]);
  logits.data = host_logits_.data();
  std::vector<float> values(static_cast<size_t>(logits.width));
  dispatch_float(logits.dtype, "logits", [&]<class T>() {
    const T* from = logits.as<const T>().row(static_cast<int64_t>(row));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<compute_t<T>>(from[i]));
  });
  return values;
}

std::vector<Generated> Generator::run(const std::vector<GenerationRequest>& requests, const OnToken& on_token,
                                      const OnEnd& on_end) {
  for (const GenerationRequest& request : requests) check(request);
  std::vector<Generated> made(requests.size());
  size_t next = 0;
  std::ranges::fill(slots_, Slot{});
  for (;;) {
    for (Slot& slot : slots_) {
      while (slot.request < 0 && next < requests.size()) {
        if (requests[next].max_new_tokens > 0) slot = {static_cast<int64_t>(next), 0};
        ++next;
      }
    }
    if (std::ranges::all_of(slots_, [](const Slot& s) { return s.request < 0; })) return made;
    Batch batch;
    const size_t program = add_prompts(batch, requests) ? kReadPrompts : kNextTokens;
    if (program == kNextTokens) add_last_tokens(batch, requests, made);
    run_program(program, batch);
    const std::vector<int32_t> chosen = choose(program, batch, requests, made);
    for (size_t i = 0; i < batch.slots.size(); ++i) {
      Slot& slot = slots_[batch.slots[i]];
      const auto r = static_cast<size_t>(slot.request);
      const GenerationRequest& request = requests[r];
      Generated& sample = made[r];
      const int32_t id = chosen[i];
      bool goes_on = false;
      if (std::ranges::find(request.stop_ids, id) != request.stop_ids.end()) {
        sample.end = Generated::End::stop_id;
      } else {
        sample.ids.push_back(id);
        goes_on = !on_token || on_token(r, id);
        if (!goes_on) sample.end = Generated::End::caller;
        goes_on = goes_on && std::ssize(sample.ids) < request.max_new_tokens;
      }
      if (goes_on) continue;
      slot = {};
      if (on_end) on_end(r, sample);
    }
  }
}

}  // namespace lethe
