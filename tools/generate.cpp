// lethe generate MODEL: continues a prompt, greedily or by sampling.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/tokenizer.h"
#include "engine/step_inputs.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/run/inference.h"
#include "tools/run/sampling.h"

namespace lethe {
namespace {

struct GenerateArguments {
  std::string model, prompt, tokenizer;
  std::vector<int32_t> ids;
  int64_t max_new_tokens = 64, seed = 0, threads = 0;
  bool json = false, ignore_eos = false, no_bos = false;
  std::string adapter, precision = "float32";
  SamplingOptions sampling;
};

void add_options(CLI::App& app, GenerateArguments& a) {
  app.add_option("MODEL", a.model, "folder of a Hugging Face model")->required();
  auto* prompt = app.add_option("--prompt", a.prompt, "text to continue");
  app.add_option("--ids", a.ids, "token ids to continue, instead of text")->excludes(prompt)->delimiter(',');
  app.add_option("--tokenizer", a.tokenizer,
                 "tokenizer.json, tokenizer.model or a folder with one (default: the model's folder)");
  app.add_option("--adapter", a.adapter, "folder of a PEFT adapter");
  app.add_option("--max-new-tokens", a.max_new_tokens, "tokens to add at most")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--temperature", a.sampling.temperature, "0: the most probable token")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", a.sampling.top_p, "nucleus: share of the probability to draw from")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--top-k", a.sampling.top_k, "most probable tokens to draw from; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", a.seed, "of the draws");
  app.add_option("--precision", a.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  app.add_option("--threads", a.threads, "0: all cores");
  app.add_flag("--ignore-eos", a.ignore_eos, "go on after the end-of-sequence token");
  app.add_flag("--no-bos", a.no_bos, "do not begin with the beginning-of-sequence token");
  app.add_flag("--json", a.json, "print ids and text as JSON");
}

// A forward pass over a window that doubles as the text grows; kept for the next token.
class Window {
 public:
  Window(const GenerateArguments& a, const LlamaConfig& config)
      : arguments_(a), longest_(config.max_position_embeddings) {}

  // Logits after the last of the ids.
  std::vector<float> next(const std::vector<int32_t>& ids) {
    const auto length = static_cast<int64_t>(ids.size());
    if (!model_ || length > tokens_) {
      for (tokens_ = std::max<int64_t>(tokens_, 32); tokens_ < length;) tokens_ *= 2;
      tokens_ = std::min(tokens_, longest_);
      model_.reset();
      model_ = std::make_unique<InferenceModel>(arguments_.model,
                                                InferenceOptions{.adapter = arguments_.adapter,
                                                                 .precision = arguments_.precision,
                                                                 .rows = 1,
                                                                 .tokens = tokens_,
                                                                 .threads = arguments_.threads});
    }
    PlainBatch batch(1, tokens_);
    batch.set_row(0, tokens_, ids, {});
    set_batch(model_->session(), batch.view());
    const Buffer logits = model_->logits();
    std::vector<float> row(static_cast<size_t>(logits.width));
    dispatch_float(logits.dtype, "logits", [&]<class T>() {
      const T* values = logits.as<const T>().row(length - 1);
      for (size_t i = 0; i < row.size(); ++i)
        row[i] = static_cast<float>(static_cast<compute_t<T>>(values[i]));
    });
    return row;
  }

 private:
  const GenerateArguments& arguments_;
  int64_t longest_, tokens_ = 0;
  std::unique_ptr<InferenceModel> model_;
};

}  // namespace

int generate_command(const std::vector<std::string>& arguments) {
  CLI::App app("Continues a prompt.", "lethe generate");
  GenerateArguments a;
  add_options(app, a);
  parse(app, arguments);

  const LlamaConfig config = parse_config(a.model + "/config.json");
  std::unique_ptr<Tokenizer> tokenizer;
  if (a.ids.empty()) {
    tokenizer = open_tokenizer(a.tokenizer.empty() ? a.model : a.tokenizer);
    if (!a.no_bos && tokenizer->bos_id() >= 0) a.ids.push_back(tokenizer->bos_id());
    const std::vector<int32_t> prompt = tokenizer->encode(a.prompt);
    a.ids.insert(a.ids.end(), prompt.begin(), prompt.end());
    if (a.ids.empty())
      throw UsageError("the prompt is empty and the tokenizer has no beginning-of-sequence token");
  }
  for (const int32_t id : a.ids) {
    if (id < 0 || id >= config.vocab_size)
      throw UsageError(fmt::format("--ids: {} lies outside the vocabulary of {}", id, config.vocab_size));
  }
  if (static_cast<int64_t>(a.ids.size()) + a.max_new_tokens > config.max_position_embeddings) {
    throw UsageError(fmt::format("{} tokens of prompt and {} new ones pass the model's {} positions",
                                 a.ids.size(), a.max_new_tokens, config.max_position_embeddings));
  }
  const auto is_end = [&](int32_t id) {
    return !a.ignore_eos && std::ranges::find(config.eos_token_ids, id) != config.eos_token_ids.end();
  };
  Window window(a, config);
  const Rng rng(static_cast<uint64_t>(a.seed), stream_of("generate"));
  std::vector<int32_t> ids = a.ids, made;
  std::string printed = tokenizer ? tokenizer->decode(ids) : "";
  while (static_cast<int64_t>(made.size()) < a.max_new_tokens) {
    const std::vector<float> logits = window.next(ids);
    // Not before the model is known to be good: a refused request prints nothing.
    if (made.empty() && tokenizer && !a.json) std::cout << printed << std::flush;
    const int32_t id = sample(logits, a.sampling, rng, made.size());
    if (is_end(id)) break;
    ids.push_back(id);
    made.push_back(id);
    if (tokenizer && !a.json) {
      const std::string text = tokenizer->decode(ids);
      if (text.size() > printed.size()) std::cout << text.substr(printed.size()) << std::flush;
      printed = text;
    }
  }
  if (a.json) {
    nlohmann::json json{{"prompt_ids", a.ids}, {"ids", made}};
    if (tokenizer) json["text"] = tokenizer->decode(made);
    std::cout << json.dump() << "\n";
  } else if (tokenizer) {
    std::cout << "\n";
  } else {
    std::cout << fmt::format("{}\n", fmt::join(made, " "));
  }
  return 0;
}

}  // namespace lethe
