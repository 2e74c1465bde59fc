// lethe generate MODEL: continues prompts, greedily or by sampling.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/chat_encoder.h"
#include "data/tokenizer.h"
#include "engine/error.h"
#include "model/weights/gguf_model.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/run/chat_files.h"
#include "tools/run/generator.h"
#include "tools/run/model_tokenizer.h"
#include "tools/run/text_stream.h"

namespace lethe {
namespace {

struct GenerateArguments {
  std::string model, prompt, prompts, tokenizer, system, chat_template;
  std::vector<int32_t> ids;
  std::vector<std::string> stops;
  int64_t max_new_tokens = 64, seed = 0, samples = 1;
  bool json = false, ignore_eos = false, no_bos = false, chat = false, time = false;
  GeneratorOptions generator{.slots = 0};
  SamplingOptions sampling;
};

void add_options(CLI::App& app, GenerateArguments& a) {
  app.add_option("MODEL", a.model, "a model: a Hugging Face folder, a GGUF file, or OWNER/NAME at the hub")
      ->required();
  auto* prompt = app.add_option("--prompt", a.prompt, "text to continue; - reads standard input");
  auto* ids = app.add_option("--ids", a.ids, "token ids to continue, instead of text");
  ids->excludes(prompt)->delimiter(',');
  app.add_option("--prompts", a.prompts, "JSONL file, a {\"prompt\": ...} a line; - reads standard input")
      ->excludes(prompt)
      ->excludes(ids);
  app.add_option("--tokenizer", a.tokenizer,
                 "tokenizer.json, tokenizer.model or a folder with one (default: the model's folder)");
  app.add_option("--adapter", a.generator.adapter, "a PEFT adapter: a folder, or OWNER/NAME at the hub");
  app.add_flag("--merge", a.generator.merge, "fold the adapter into the weights in memory");
  app.add_flag("--chat", a.chat, "the prompt is a user's message to a model that was trained to answer");
  app.add_option("--chat-template", a.chat_template,
                 "a template's name or file (default: what the model was trained with); implies --chat");
  app.add_option("--system", a.system, "a system message before it; implies --chat");
  app.add_option("--max-new-tokens", a.max_new_tokens, "tokens to add at most")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--stop", a.stops, "text that ends the continuation and is no part of it; may be repeated");
  app.add_option("--samples", a.samples, "continuations of each prompt")->check(CLI::Range(1, 1 << 20));
  app.add_option("--batch", a.generator.slots, "continuations that grow at a time; 0: all, at most 32")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--temperature", a.sampling.temperature, "0: the most probable token")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", a.sampling.top_p, "nucleus: share of the probability to draw from")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", a.sampling.top_k, "most probable tokens to draw from; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", a.seed, "of the draws");
  app.add_option("--precision", a.generator.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  app.add_option("--device", a.generator.device, "cpu, cuda, cuda:N or auto");
  app.add_option("--threads", a.generator.threads, "0: all cores");
  app.add_flag("--ignore-eos", a.ignore_eos, "go on after the end-of-sequence token");
  app.add_flag("--no-bos", a.no_bos, "do not begin with the beginning-of-sequence token");
  app.add_flag("--json", a.json, "print ids and text as JSON, a line each");
  app.add_flag("--time", a.time, "say at the end how many tokens a second were made");
}

std::string all_of(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> prompts_of(const GenerateArguments& a) {
  if (a.prompts.empty()) return {a.prompt == "-" ? all_of(std::cin) : a.prompt};
  std::ifstream file(a.prompts);
  if (a.prompts != "-" && !file) throw DataError(a.prompts + ": no such file, or it cannot be read");
  std::istream& in = a.prompts == "-" ? std::cin : file;
  std::vector<std::string> prompts;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("prompt") || !json["prompt"].is_string())
      throw FormatError(a.prompts, fmt::format("line {}", number), "is no object with a text \"prompt\"");
    prompts.push_back(json["prompt"]);
  }
  if (prompts.empty()) throw DataError(a.prompts + ": holds no prompt");
  return prompts;
}

// Text prompts as ids, and what ends their continuations.
class Prompts {
 public:
  Prompts(const GenerateArguments& a, const Tokenizer* tokenizer) : a_(a), tokenizer_(tokenizer) {
    if (a.chat || !a.chat_template.empty() || !a.system.empty())
      encoder_.emplace(chat_template_of(a.model, a.chat_template), *tokenizer, !a.no_bos);
  }

  std::vector<int32_t> ids(const std::string& text) const {
    if (encoder_) {
      std::vector<Message> messages;
      if (!a_.system.empty()) messages.push_back({"system", a_.system});
      messages.push_back({"user", text});
      return encoder_->encode_prompt(messages);
    }
    std::vector<int32_t> ids;
    if (!a_.no_bos && tokenizer_->bos_id() >= 0) ids.push_back(tokenizer_->bos_id());
    const std::vector<int32_t> encoded = tokenizer_->encode(text);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
    if (ids.empty())
      throw UsageError("the prompt is empty and the tokenizer has no beginning-of-sequence token");
    return ids;
  }
  std::vector<int32_t> stop_ids(const LlamaConfig& config) const {
    if (a_.ignore_eos) return {};
    std::vector<int32_t> stops(config.eos_token_ids.begin(), config.eos_token_ids.end());
    if (encoder_) stops.insert(stops.end(), encoder_->end_ids().begin(), encoder_->end_ids().end());
    return stops;
  }

 private:
  const GenerateArguments& a_;
  const Tokenizer* tokenizer_;
  std::optional<ChatEncoder> encoder_;
};

const char* name_of(Generated::End end, bool stopped) {
  if (stopped) return "stop";
  return end == Generated::End::stop_id ? "eos" : "length";
}

std::vector<GenerationRequest> requests_of(const GenerateArguments& a, const LlamaConfig& config,
                                           const Tokenizer* tokenizer) {
  std::vector<GenerationRequest> requests;
  const auto add = [&](const std::vector<int32_t>& ids, const std::vector<int32_t>& stop_ids) {
    for (int64_t s = 0; s < a.samples; ++s) {
      requests.push_back({.prompt = ids,
                          .max_new_tokens = a.max_new_tokens,
                          .sampling = a.sampling,
                          .seed = static_cast<uint64_t>(a.seed),
                          .sample = static_cast<uint64_t>(s),
                          .stop_ids = stop_ids});
    }
  };
  if (!a.ids.empty()) {
    add(a.ids, a.ignore_eos ? std::vector<int32_t>{}
                            : std::vector<int32_t>(config.eos_token_ids.begin(), config.eos_token_ids.end()));
    return requests;
  }
  const Prompts prompts(a, tokenizer);
  for (const std::string& text : prompts_of(a)) add(prompts.ids(text), prompts.stop_ids(config));
  return requests;
}

}  // namespace

int generate_command(const std::vector<std::string>& arguments) {
  CLI::App app("Continues prompts.", "lethe generate");
  GenerateArguments a;
  add_options(app, a);
  parse(app, arguments);

  a.model = local_model(a.model);
  if (!a.generator.adapter.empty()) a.generator.adapter = local_model(a.generator.adapter);
  const LlamaConfig config = read_model_config(a.model);
  std::unique_ptr<Tokenizer> tokenizer;
  if (a.ids.empty() || !a.stops.empty())
    tokenizer = open_model_tokenizer(a.tokenizer.empty() ? a.model : a.tokenizer);
  const std::vector<GenerationRequest> requests = requests_of(a, config, tokenizer.get());
  int64_t longest = 0, reading = 0;
  for (const GenerationRequest& r : requests) {
    const auto prompt = std::ssize(r.prompt);
    longest = std::max(longest, prompt + r.max_new_tokens);
    reading += prompt;
  }
  if (longest > config.max_position_embeddings) {
    throw UsageError(fmt::format("{} tokens of prompt and continuation pass the model's {} positions",
                                 longest, config.max_position_embeddings));
  }
  a.generator.capacity = longest;
  if (a.generator.slots == 0) a.generator.slots = std::min<int64_t>(32, std::ssize(requests));
  a.generator.prompt_tokens = std::min<int64_t>(reading, a.generator.device == "cpu" ? 128 : 1024);
  Generator generator(a.model, a.generator);
  for (const GenerationRequest& r : requests) generator.check(r);

  // One text is shown as it grows, several when they are done.
  const bool shows = requests.size() == 1 && !a.json && tokenizer;
  std::vector<std::optional<TextStream>> texts(requests.size());
  for (size_t i = 0; tokenizer && i < requests.size(); ++i)
    texts[i].emplace(*tokenizer, requests[i].prompt, a.stops);
  if (shows) std::cout << tokenizer->decode(requests[0].prompt) << std::flush;
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<Generated> made = generator.run(requests, [&](size_t i, int32_t id) {
    if (!texts[i]) return true;
    const std::string text = texts[i]->add(id);
    if (shows) std::cout << text << std::flush;
    return !texts[i]->stopped();
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  int64_t tokens = 0;
  for (size_t i = 0; i < made.size(); ++i) {
    tokens += std::ssize(made[i].ids);
    const std::string rest = texts[i] ? texts[i]->finish() : "";
    if (a.json) {
      nlohmann::json json{{"prompt_ids", requests[i].prompt}, {"ids", made[i].ids}};
      json["end"] = name_of(made[i].end, texts[i] && texts[i]->stopped());
      if (requests.size() > 1) json["sample"] = requests[i].sample;
      if (texts[i]) json["text"] = texts[i]->text();
      std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    } else if (shows) {
      std::cout << rest << "\n";
    } else if (texts[i]) {
      std::cout << tokenizer->decode(requests[i].prompt) << texts[i]->text() << "\n";
      if (i + 1 < made.size()) std::cout << "---\n";
    } else {
      std::cout << fmt::format("{}\n", fmt::join(made[i].ids, " "));
    }
  }
  if (a.time) {
    std::cerr << fmt::format("{} tokens in {:.2f} s, {:.1f} tokens/s\n", tokens, seconds,
                             static_cast<double>(tokens) / seconds);
  }
  return 0;
}

}  // namespace lethe
